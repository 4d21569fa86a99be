//! Every interleaving with a few preemptions. Boxes as items: a slot read twice or before its write
//! is an error loom sees, and so is a leak.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p greyhound-queue --lib loom_`

use loom::sync::Arc;
use loom::thread;

use crate::push::Push;
use crate::ring::Ring;

fn queued<T>(push: Push<T>) -> usize {
    usize::from(matches!(push, Push::Queued))
}

#[test]
fn loom_two_pushes_and_two_pops_at_once() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(2));
        let pushers: Vec<_> = (1..=2)
            .map(|item| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || queued(ring.push(Box::new(item))))
            })
            .collect();
        let popper = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || ring.pop().map_or(0, |item| *item))
        };
        let mut sum = ring.pop().map_or(0, |item| *item);
        let queued: usize = pushers
            .into_iter()
            .map(|pusher| pusher.join().unwrap())
            .sum();
        sum += popper.join().unwrap();
        while let Some(item) = ring.pop() {
            sum += *item;
        }
        // Two slots, two items: neither can be refused, and each comes out once.
        assert_eq!((queued, sum), (2, 3));
    });
}

#[test]
fn loom_one_slot_over_several_laps() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(1));
        let pusher = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                (1..=3usize)
                    .filter(|&item| queued(ring.push(Box::new(item))) == 1)
                    .collect::<Vec<_>>()
            })
        };
        let mut got: Vec<usize> = (0..3)
            .filter_map(|_| ring.pop())
            .map(|item| *item)
            .collect();
        let pushed = pusher.join().unwrap();
        while let Some(item) = ring.pop() {
            got.push(*item);
        }
        assert_eq!(got, pushed);
    });
}

#[test]
fn loom_two_pushers_share_the_last_slot() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(1));
        let other = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || queued(ring.push(Box::new(1))))
        };
        let mine = queued(ring.push(Box::new(2)));
        let both = mine + other.join().unwrap();
        assert_eq!(both, 1);
        assert!(ring.pop().is_some());
        assert!(ring.pop().is_none());
    });
}

#[test]
fn loom_items_left_behind_are_dropped_once() {
    loom::model(|| {
        let item = Arc::new(());
        let ring = Arc::new(Ring::new(2));
        let pusher = {
            let (ring, item) = (Arc::clone(&ring), Arc::clone(&item));
            thread::spawn(move || queued(ring.push(item)))
        };
        let popped = ring.pop();
        let queued = pusher.join().unwrap();
        assert_eq!(Arc::strong_count(&item), 1 + queued);
        drop(popped);
        drop(ring);
        assert_eq!(Arc::strong_count(&item), 1);
    });
}
