//! What servers check of requests: Azure's signature with an account's key, Google's tokens that an account signs itself.
//!
//! The arithmetic is written out here: the crates that the client signs with are not ours to use, and a check by the same
//! code would prove less.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use query::datafusion;

use super::server::Asked;

/// Bytes that SHA-256 takes at once.
const BLOCK: usize = 64;
/// What stands before a hash that is signed, and says that it is one of SHA-256.
const SHA256_MARK: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0, 0x04,
    0x20,
];

/// The hash, by the engine's function.
pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    let field = |name: &str| Field::new(name, DataType::Binary, false).into();
    let args = ScalarFunctionArgs {
        args: vec![ColumnarValue::Scalar(ScalarValue::Binary(Some(bytes.to_vec())))],
        arg_fields: vec![field("bytes")],
        number_rows: 1,
        return_field: field("hash"),
        config_options: ConfigOptions::default().into(),
    };
    match datafusion::functions::crypto::sha256().invoke_with_args(args).unwrap() {
        ColumnarValue::Scalar(ScalarValue::Binary(Some(hash))) => hash,
        other => panic!("{other:?}"),
    }
}

/// HMAC-SHA256.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > BLOCK { sha256(key) } else { key.to_vec() };
    block.resize(BLOCK, 0);
    let with = |mark: u8, rest: &[u8]| {
        let mut bytes: Vec<u8> = block.iter().map(|byte| byte ^ mark).collect();
        bytes.extend_from_slice(rest);
        sha256(&bytes)
    };
    with(0x5c, &with(0x36, message))
}

/// Base64 of either alphabet, with or without its padding.
pub(super) fn base64(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.trim_end_matches('=').bytes().map(digit).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let number = four.iter().fold(0, |number, digit| (number << 6) | digit) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&number.to_be_bytes()[1..four.len()]);
    }
    bytes
}

fn digit(letter: u8) -> u32 {
    u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => panic!("{}", char::from(letter)),
    })
}

/// Whether a request is signed with the key of an Azure account.
pub(super) fn is_signed_for_azure(asked: &Asked, account: &str, key: &[u8]) -> bool {
    let Some(said) = asked.header("authorization") else { return false };
    let Some(said) = said.strip_prefix(&format!("SharedKey {account}:")) else { return false };
    base64(said) == hmac(key, to_sign(asked, account).as_bytes())
}

/// The text that is signed.
///
/// Source: Microsoft, "Authorize with Shared Key", the Blob service from version 2009-09-19 on.
fn to_sign(asked: &Asked, account: &str) -> String {
    let header = |name: &str| asked.header(name).unwrap_or_default();
    let length = Some(header("content-length")).filter(|length| *length != "0").unwrap_or_default();
    let mut lines =
        vec![asked.method.as_str(), header("content-encoding"), header("content-language"), length];
    let rest = [
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ];
    lines.extend(rest.map(header));
    let mut lines: Vec<_> = lines.into_iter().map(String::from).collect();
    let own = asked.headers.iter().filter(|(name, _)| name.starts_with("x-ms-"));
    lines.extend(own.map(|(name, value)| format!("{name}:{value}")));
    lines.push(format!("/{account}{}", asked.path()));
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    let mut parts: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    parts.sort();
    lines.extend(parts);
    lines.join("\n")
}

/// The header and the claims of a token, if the key with this modulus (and the exponent 65537) has signed it (RS256).
pub(super) fn claims(token: &str, modulus: &[u8]) -> Option<(serde_json::Value, serde_json::Value)> {
    let (text, signature) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let mut expected = vec![0, 1];
    expected.resize(modulus.len() - SHA256_MARK.len() - 33, 0xff);
    expected.push(0);
    expected.extend(SHA256_MARK);
    expected.extend(sha256(text.as_bytes()));
    let json = |part: &str| serde_json::from_slice(&base64(part)).ok();
    (opened(&base64(signature), modulus) == expected).then_some((json(header)?, json(claims)?))
}

/// A number to the 65537th power, by a modulus; all as bytes, the largest first.
fn opened(signature: &[u8], modulus: &[u8]) -> Vec<u8> {
    // One digit to spare, for sums.
    let digits = modulus.len().div_ceil(4) + 1;
    let modulus_digits = number(modulus, digits);
    let signature = number(signature, digits);
    let mut power = signature.clone();
    for _ in 0..16 {
        power = product(&power, &power, &modulus_digits);
    }
    power = product(&power, &signature, &modulus_digits);
    let bytes: Vec<u8> = power.iter().rev().flat_map(|digit| digit.to_be_bytes()).collect();
    bytes[bytes.len() - modulus.len()..].to_vec()
}

/// Digits of 32 bits, the smallest first.
fn number(bytes: &[u8], digits: usize) -> Vec<u32> {
    let mut number = vec![0; digits];
    for (place, byte) in bytes.iter().rev().enumerate() {
        number[place / 4] |= u32::from(*byte) << (8 * (place % 4));
    }
    number
}

fn product(a: &[u32], b: &[u32], modulus: &[u32]) -> Vec<u32> {
    let mut product = vec![0; a.len()];
    for digit in a.iter().rev() {
        for bit in (0..32).rev() {
            product = sum(&product, &product, modulus);
            if (digit >> bit) & 1 == 1 {
                product = sum(&product, b, modulus);
            }
        }
    }
    product
}

/// The sum of two numbers below the modulus, by the modulus.
fn sum(a: &[u32], b: &[u32], modulus: &[u32]) -> Vec<u32> {
    let mut carry = 0;
    let add = |(a, b): (&u32, &u32)| {
        let sum = u64::from(*a) + u64::from(*b) + carry;
        carry = sum >> 32;
        sum as u32
    };
    let mut sum: Vec<u32> = a.iter().zip(b).map(add).collect();
    if sum.iter().rev().ge(modulus.iter().rev()) {
        let mut borrow = 0;
        for (digit, less) in sum.iter_mut().zip(modulus) {
            let left = i64::from(*digit) - i64::from(*less) - borrow;
            borrow = i64::from(left < 0);
            *digit = left as u32;
        }
    }
    sum
}

#[test]
fn the_arithmetic_is_right() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    // RFC 4231, case 2, and case 6 with its key that is longer than a block.
    let first = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")), first);
    let long = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(hex(&long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_eq!(base64("YWI="), b"ab");
    assert_eq!(base64("-_8"), base64("+/8="));
    // 3233 = 61 * 53, and 65537 is 65537 % 780 = 17 there: 65 to the 17th is 2790.
    assert_eq!(opened(&[65], &3233u16.to_be_bytes()), 2790u16.to_be_bytes());
}
