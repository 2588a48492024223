//! Server-sent events: bytes in, whatever their pieces; the data of whole events out.

/// The longest event in bytes. One event is one JSON value about one module.
pub(crate) const MAX_EVENT: usize = 4 << 20;

/// Takes a stream of server-sent events apart.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return; a line feed after it ends nothing more.
    after_return: bool,
}

/// An event longer than [`MAX_EVENT`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

impl Events {
    /// Takes the next bytes; gives the data of each event that they complete.
    ///
    /// # Errors
    /// [`TooLong`]: the stream cannot be read on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_half = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() + self.data.as_ref().map_or(0, Vec::len) >= MAX_EVENT => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// An empty line ends an event; a line of data adds to it; other fields and comments say nothing to us.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        let value = line.strip_prefix(b"data:")?;
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b": hello\n\nevent: begun\ndata: {\"a\":1}\n\nid: 7\r\ndata:x\r\ndata: y\r\n\r\ndata: z\r\rdata: unended\n";

    fn texts(events: Vec<Vec<u8>>) -> Vec<String> {
        events.into_iter().map(|event| String::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn events_are_the_same_wherever_the_stream_is_split() {
        for at in 0..=STREAM.len() {
            let mut events = Events::default();
            let (first, second) = STREAM.split_at(at);
            let mut seen = texts(events.feed(first).unwrap());
            seen.extend(texts(events.feed(second).unwrap()));
            assert_eq!(seen, ["{\"a\":1}", "x\ny", "z"], "split at {at}");
        }
    }

    #[test]
    fn events_are_the_same_byte_by_byte() {
        let mut events = Events::default();
        let seen: Vec<String> = STREAM.iter().flat_map(|byte| texts(events.feed(&[*byte]).unwrap())).collect();
        assert_eq!(seen, ["{\"a\":1}", "x\ny", "z"]);
    }

    #[test]
    fn an_endless_event_is_refused_in_one_line_and_in_many() {
        let mut events = Events::default();
        assert_eq!(events.feed(&vec![b'x'; MAX_EVENT + 1]), Err(TooLong));
        let mut events = Events::default();
        let line = [b"data:".as_slice(), &vec![b'x'; 1 << 20], b"\n"].concat();
        assert!((0..8).any(|_| events.feed(&line).is_err()));
    }
}
