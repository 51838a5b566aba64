//! The fields of a line, taken out one by one; what is left at the end has no place of its own.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::route::{UNKNOWN, json, type_in};

/// Whether a field that was read is still worth keeping as it is.
pub enum Read<T> {
    Whole(T),
    InPart(T),
}

/// Takes the first of the fields out that is a type.
pub fn take_type<'l>(rest: &mut Vec<(String, &'l RawValue)>, fields: &str) -> Cow<'l, str> {
    for field in fields.split(',') {
        let found = rest.iter().position(|(name, _)| name == field);
        if let Some(index) = found
            && let Some(kind) = type_in(field, rest[index].1)
        {
            rest.remove(index);
            return kind;
        }
    }
    String::from_utf8_lossy(UNKNOWN)
}

/// Takes the first of the fields out that can be read; what was read in part only stays.
pub fn take<T>(
    rest: &mut Vec<(String, &RawValue)>,
    names: &[&str],
    read: impl Fn(&str) -> Option<Read<T>>,
) -> Option<T> {
    let (index, found) = find_at(rest, names, read)?;
    match found {
        Read::Whole(value) => {
            rest.remove(index);
            Some(value)
        }
        Read::InPart(value) => Some(value),
    }
}

/// Like `take`, and leaves it there.
pub fn find<T>(
    rest: &[(String, &RawValue)],
    names: &[&str],
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    find_at(rest, names, read).map(|(_, found)| found)
}

fn find_at<T>(
    rest: &[(String, &RawValue)],
    names: &[&str],
    read: impl Fn(&str) -> Option<T>,
) -> Option<(usize, T)> {
    names.iter().find_map(|wanted| {
        let index = rest.iter().position(|(name, _)| name == wanted)?;
        Some((index, read(&plain(rest[index].1)?)?))
    })
}

/// A string's meaning, or a number's digits; None for what is neither.
fn plain(value: &RawValue) -> Option<Cow<'_, str>> {
    let is_number = value
        .get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit());
    json::text(value).or(is_number.then(|| Cow::Borrowed(value.get())))
}
