//! Real threads: nothing is lost, nothing comes twice, and one sender's items keep their order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::push::Push;
use crate::ring::Ring;

const SENDERS: usize = 3;
const TAKERS: usize = 2;
const ITEMS_PER_SENDER: usize = 20_000;

#[test]
fn many_threads_lose_nothing_and_keep_each_senders_order() {
    for capacity in [1, 2, 7] {
        let ring = Ring::new(capacity);
        let taken = AtomicUsize::new(0);
        let mut all: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
            for sender in 0..SENDERS {
                let ring = &ring;
                scope.spawn(move || {
                    for number in 0..ITEMS_PER_SENDER {
                        let mut item = (sender, number);
                        while let Push::Full(again) = ring.push(item) {
                            item = again;
                            thread::yield_now();
                        }
                    }
                });
            }
            let takers: Vec<_> = (0..TAKERS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut mine = Vec::new();
                        while taken.load(Ordering::Relaxed) < SENDERS * ITEMS_PER_SENDER {
                            match ring.pop() {
                                Some(item) => {
                                    taken.fetch_add(1, Ordering::Relaxed);
                                    mine.push(item);
                                }
                                None => thread::yield_now(),
                            }
                        }
                        mine
                    })
                })
                .collect();
            takers
                .into_iter()
                .map(|taker| taker.join().unwrap())
                .collect()
        });
        for mine in &all {
            for sender in 0..SENDERS {
                let numbers = mine.iter().filter(|item| item.0 == sender);
                assert!(numbers.is_sorted());
            }
        }
        let mut together = all.concat();
        all.clear();
        together.sort_unstable();
        together.dedup();
        assert_eq!(together.len(), SENDERS * ITEMS_PER_SENDER);
    }
}
