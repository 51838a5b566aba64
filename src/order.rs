//! Sorting that is small: the standard library's sorts are compiled anew for each type and key, some 4 KB each time. Here
//! one of them sorts places, for lists of any type. That is slower: what is sorted for each line uses the other.

use std::cmp::Ordering;
use std::mem;

/// Sorts a list; equal ones stay in their order.
pub fn sort<T: Ord>(list: &mut [T]) {
    let places = sorted_places(list.len(), &|a, b| list[a].cmp(&list[b]));
    arrange(list, places);
}

/// The same by a key, which is made once for each.
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl FnMut(&T) -> K) {
    let keys: Vec<K> = list.iter().map(key).collect();
    let places = sorted_places(keys.len(), &|a, b| keys[a].cmp(&keys[b]));
    arrange(list, places);
}

/// Where the one stands that is to come first, second and so on.
fn sorted_places(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|a, b| compare(*a, *b));
    places
}

/// Follows each circle of places: the one that was swapped away is at hand when its own place is reached.
fn arrange<T>(list: &mut [T], mut places: Vec<usize>) {
    for first in 0..list.len() {
        let mut at = first;
        while places[at] != first {
            let from = mem::replace(&mut places[at], at);
            list.swap(at, from);
            at = from;
        }
        places[at] = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(list in prop::collection::vec((0..9_u8, any::<u8>()), 0..40)) {
            let (mut ours, mut theirs) = (list.clone(), list.clone());
            sort_by_key(&mut ours, |pair| pair.0);
            theirs.sort_by_key(|pair| pair.0);
            prop_assert_eq!(&ours, &theirs);
            let mut ours = list;
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }
}
