//! Passwords and queries in URLs of web servers. They may let one in (`?X-Amz-Signature=…`), and paths of files are
//! shown in plans and messages: so they are put aside, and a number of them is shown in their place.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use super::secret::Secrets;

/// What was put aside in this process, by the number that stands for it. There is one for a text that somebody wrote.
static ASIDE: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

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
            format!("{:016x}@{host}", keep(user))
        }
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    let parts = path.split('/').map(|part| if part.is_empty() { EMPTY } else { part });
    let mut key = if path.is_empty() { String::new() } else { parts.collect::<Vec<_>>().join("/") };
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        secrets.hide_also(query);
        key.push_str(&format!("{QUERY}{:016x}", keep(query)));
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

/// The name and password that stand for the user of a URL.
pub(super) fn user(number: &str) -> Option<String> {
    taken(number)
}

fn keep(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let number = hasher.finish();
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner).insert(number, text.to_string());
    number
}

fn taken(number: &str) -> Option<String> {
    let number = u64::from_str_radix(number, 16).ok()?;
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_passwords_are_put_aside_and_found_again() {
        let secrets = Secrets::new();
        let (authority, key) = put("me:planted@host:81", "/a//b%20c/x.csv?sig=planted2&v=1#part", &secrets);
        assert!(authority.ends_with("@host:81") && !authority.contains("planted"), "{authority}");
        assert!(key.starts_with("a/%00/b%20c/x.csv?…") && !key.contains("planted2"), "{key}");
        assert_eq!(path_and_query(&key), "/a//b%20c/x.csv?sig=planted2&v=1");
        assert_eq!(user(authority.split('@').next().unwrap()).as_deref(), Some("me:planted"));
        assert_eq!(secrets.hide("planted"), "***");
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
