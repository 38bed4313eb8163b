//! Passwords and queries in URLs of web servers. They may let one in (`?X-Amz-Signature=…`), and paths of files are
//! shown in plans and messages: so they are put aside, and a number of them is shown in their place.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::secret::Secrets;

/// What was put aside in this process.
static ASIDE: Mutex<Option<Aside>> = Mutex::new(None);

/// Texts by the number that stands for them, and back. The number is the place in their order: one that was made of the
/// text would let people try out passwords.
#[derive(Default)]
struct Aside {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

/// Between a path and the number of its query. A question mark that is written in a URL begins the query, so none is in
/// a path.
const QUERY: &str = "?…";
/// What stands for an empty name between two slashes, which paths of objects cannot have.
const EMPTY: &str = "%00";

/// An authority and a path with query, as they may be shown; the query and the password are put aside.
pub(super) fn put(authority: &str, rest: &str, secrets: &Secrets) -> (String, String) {
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let authority = match authority.rsplit_once('@') {
        None => authority.to_string(),
        Some((user, host)) => {
            if let Some((_, password)) = user.split_once(':') {
                secrets.hide_also(password);
            }
            format!("{}@{host}", keep(user))
        }
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    let parts = path.split('/').map(|part| if part.is_empty() { EMPTY } else { part });
    let mut key = if path.is_empty() { String::new() } else { parts.collect::<Vec<_>>().join("/") };
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        secrets.hide_also(query);
        key.push_str(&format!("{QUERY}{}", keep(query)));
    }
    (authority, key)
}

/// The path and query that a key of [`put`] stands for.
pub(super) fn path_and_query(key: &str) -> String {
    let (path, number) = key.split_once(QUERY).map_or((key, None), |(path, number)| (path, Some(number)));
    let parts: Vec<_> = path.split('/').map(|part| if part == EMPTY { "" } else { part }).collect();
    let path = parts.join("/");
    match number.and_then(taken) {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    }
}

/// A name without the number of a query: what is called `x.csv?…1` is CSV.
pub fn without_query(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once(QUERY) {
        Some((start, number)) if is_number(number) => start,
        Some(_) | None => name,
    }
}

/// The name and password that stand for the user of a URL.
pub(super) fn user(number: &str) -> Option<String> {
    taken(number)
}

/// The number of a text, from 1.
fn keep(text: &str) -> usize {
    let mut aside = ASIDE.lock().unwrap_or_else(PoisonError::into_inner);
    let Aside { texts, numbers } = aside.get_or_insert_default();
    if let Some(number) = numbers.get(text) {
        return *number;
    }
    texts.push(text.to_string());
    numbers.insert(text.to_string(), texts.len());
    texts.len()
}

fn taken(number: &str) -> Option<String> {
    let place = number.parse::<usize>().ok()?.checked_sub(1)?;
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.texts.get(place).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_passwords_are_put_aside_and_found_again() {
        let secrets = Secrets::new();
        let (authority, key) = put("me:planted@host:81", "/a//b%20c/x.csv?sig=planted2&v=1#part", &secrets);
        assert!(authority.ends_with("@host:81") && authority.len() < 20, "{authority}");
        assert!(key.starts_with("a/%00/b%20c/x.csv?…") && !key.contains("planted2"), "{key}");
        assert_eq!(path_and_query(&key), "/a//b%20c/x.csv?sig=planted2&v=1");
        assert_eq!(without_query(&key), "a/%00/b%20c/x.csv");
        assert_eq!(without_query("x?…y.csv"), "x?…y.csv");
        assert_eq!(user(authority.split('@').next().unwrap()).as_deref(), Some("me:planted"));
        assert_eq!(secrets.hide("planted"), "***");
        let again = put("me:planted@host:81", "/a//b%20c/x.csv?sig=planted2&v=1", &secrets);
        assert_eq!(again, (authority, key), "one text has one number");
        let other = put("you:planted@host:81", "/x.csv?sig=planted2&v=2", &secrets);
        assert!(other.0 != again.0 && path_and_query(&other.1) == "/x.csv?sig=planted2&v=2", "{other:?}");
    }

    #[test]
    fn plain_paths_stay_as_they_are() {
        let secrets = Secrets::new();
        assert_eq!(put("host", "/a/b.csv", &secrets), ("host".into(), "a/b.csv".into()));
        assert_eq!(path_and_query("a/b.csv"), "/a/b.csv");
        assert_eq!(put("host", "", &secrets).1, "");
        assert_eq!(path_and_query(&put("host", "/dir/", &secrets).1), "/dir/");
    }
}
