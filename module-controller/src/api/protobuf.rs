//! The few bodies that `kubectl` sends as protobuf whatever it is told: reviews, namespaces. They are read into what JSON would have said.

use serde_json::{Map, Value, json};

use super::{
    call::{Review, Target},
    status::Refusal,
};

/// The media type.
pub(super) const MEDIA: &str = "application/vnd.kubernetes.protobuf";
/// How such a body begins.
const MAGIC: &[u8] = b"k8s\0";

/// A message: the fields that are read of it, by number, with their names.
enum Message {
    Text,
    Fields(&'static [(u64, &'static str, Message)]),
}

const METADATA: Message = Message::Fields(&[(1, "name", Message::Text), (2, "generateName", Message::Text)]);
const NAMESPACE: Message = Message::Fields(&[(1, "metadata", METADATA)]);
const RESOURCE: Message = Message::Fields(&[
    (1, "namespace", Message::Text),
    (2, "verb", Message::Text),
    (3, "group", Message::Text),
    (4, "version", Message::Text),
    (5, "resource", Message::Text),
    (6, "subresource", Message::Text),
    (7, "name", Message::Text),
]);
const PATH: Message = Message::Fields(&[(1, "path", Message::Text), (2, "verb", Message::Text)]);
const ACCESS: Message =
    Message::Fields(&[(2, "spec", Message::Fields(&[(1, "resourceAttributes", RESOURCE), (2, "nonResourceAttributes", PATH)]))]);
const RULES: Message = Message::Fields(&[(2, "spec", Message::Fields(&[(1, "namespace", Message::Text)]))]);
/// Around each of them: what it is, and itself.
const ENVELOPE: u64 = 2;

/// Reads a body about `target`.
///
/// # Errors
/// Where it is none, or `target` is one of the resources that are read as JSON only.
pub(super) fn read(target: Target, body: &[u8]) -> Result<Value, Refusal> {
    let message = match target {
        Target::Namespaces => NAMESPACE,
        Target::Review(Review::Access) => ACCESS,
        Target::Review(Review::Rules) => RULES,
        Target::Review(Review::Subject) => Message::Fields(&[]),
        Target::Fleet(..) | Target::Events | Target::Path => {
            return Err(Refusal::unsupported(format!("{MEDIA} is not supported: send application/json")));
        }
    };
    let decoded = body.strip_prefix(MAGIC).and_then(|envelope| {
        let inner = fields(envelope)?.into_iter().find(|(number, _)| *number == ENVELOPE).map_or(&[][..], |(_, bytes)| bytes);
        decode(&message, inner)
    });
    decoded.ok_or_else(|| Refusal::bad_request("the body is no such message"))
}

fn decode(message: &Message, bytes: &[u8]) -> Option<Value> {
    let known = match message {
        Message::Text => return std::str::from_utf8(bytes).ok().map(Value::from),
        Message::Fields(known) => known,
    };
    let mut object = Map::new();
    for (number, bytes) in fields(bytes)? {
        if let Some((_, name, message)) = known.iter().find(|(known, ..)| *known == number) {
            object.insert((*name).to_owned(), decode(message, bytes)?);
        }
    }
    Some(json!(object))
}

/// The fields of a message that have a length: texts and messages.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes)?;
        match key & 7 {
            0 => drop(number(&mut bytes)?),
            1 => bytes = bytes.get(8..)?,
            2 => {
                let length = usize::try_from(number(&mut bytes)?).ok()?;
                let (field, rest) = bytes.split_at_checked(length)?;
                found.push((key >> 3, field));
                bytes = rest;
            }
            5 => bytes = bytes.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

/// A number of seven bits a byte, the last of which says so.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(place * 7)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
    }

    #[test]
    fn a_review_is_read_as_kubectl_sends_it() {
        let attributes = [field(2, b"create"), field(5, b"bases"), vec![8 << 3, 1]].concat();
        let review = [field(1, b""), field(2, &field(1, &attributes)), field(3, b"\x08\x00")].concat();
        let body = [MAGIC, &field(1, b"\x0a\x02v1"), &field(2, &review)].concat();
        let read = read(Target::Review(Review::Access), &body).unwrap();
        assert_eq!(read, json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "bases"}}}));
    }

    #[test]
    fn whatever_is_sent_it_is_read_or_refused() {
        for length in 0..20 {
            for _ in 0..500 {
                let noise: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
                drop(read(Target::Namespaces, &[MAGIC, &noise].concat()));
            }
        }
        assert!(read(Target::Namespaces, b"{}").is_err());
    }
}
