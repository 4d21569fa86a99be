//! One thread: the ring does what a `VecDeque` with a bound does.

use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;

use crate::push::Push;
use crate::ring::Ring;

proptest! {
    #[test]
    fn it_does_what_a_bounded_deque_does(
        capacity in 1usize..9,
        steps in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let ring = Ring::new(capacity);
        let mut deque = VecDeque::new();
        for (item, push) in steps.into_iter().enumerate() {
            if push {
                let expected = if deque.len() < capacity {
                    deque.push_back(item);
                    Push::Queued
                } else {
                    Push::Full(item)
                };
                prop_assert_eq!(ring.push(item), expected);
            } else {
                prop_assert_eq!(ring.pop(), deque.pop_front());
            }
            prop_assert_eq!(ring.len(), deque.len());
            prop_assert_eq!(ring.is_empty(), deque.is_empty());
        }
    }

    #[test]
    fn each_item_is_dropped_exactly_once(
        capacity in 1usize..6,
        steps in proptest::collection::vec(any::<bool>(), 0..60),
    ) {
        let item = Rc::new(());
        let ring = Ring::new(capacity);
        let mut popped = Vec::new();
        for push in steps {
            if push {
                drop(ring.push(Rc::clone(&item)).refused());
            } else {
                popped.extend(ring.pop());
            }
            prop_assert_eq!(Rc::strong_count(&item), 1 + ring.len() + popped.len());
        }
        drop(ring);
        prop_assert_eq!(Rc::strong_count(&item), 1 + popped.len());
    }
}

#[test]
fn a_ring_of_nought_holds_one() {
    let ring = Ring::new(0);
    assert_eq!(ring.capacity(), 1);
    assert_eq!(ring.push(1), Push::Queued);
    assert_eq!(ring.push(2), Push::Full(2));
    assert_eq!(ring.pop(), Some(1));
    assert_eq!(ring.push(3), Push::Queued);
    assert_eq!(ring.pop(), Some(3));
    assert_eq!(ring.pop(), None);
}
