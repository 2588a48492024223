//! Calls that end the process, taken out of a class file before a JVM sees it.
//!
//! `System.exit`, `Runtime.exit` and `Runtime.halt` become calls of a class of the base, which decides. Calls and method references in
//! the byte code are caught, of a module and of its libraries. What is not: reflection and method handles that the module looks up
//! itself, native code, and code of the JDK that ends the process on somebody's behalf.
//!
//! The format is that of "The Java Virtual Machine Specification", 4 (class files) and 6.5 (instructions). Only the pool of constants
//! grows; no instruction changes its length, so that all offsets and stack maps stay right.

use std::borrow::Cow;

use memchr::memmem::find;

/// The class that is called instead, by its internal name: `exit(int)` in place of `System.exit`, `exit(Runtime, int)` in place of
/// `Runtime.exit` and `Runtime.halt`, all static.
pub const EXIT: &str = "ark/jvm/Exit";

const UTF8: u8 = 1;
const CLASS: u8 = 7;
const METHOD: u8 = 10;
const NAME_AND_TYPE: u8 = 12;
const METHOD_HANDLE: u8 = 15;
const HANDLE_VIRTUAL: u8 = 5;
const HANDLE_STATIC: u8 = 6;
const INVOKE_VIRTUAL: u8 = 0xb6;
const INVOKE_STATIC: u8 = 0xb8;

/// The class file `class` without calls that end the process; the very bytes where there are none, or where it is no class file.
#[must_use]
pub fn without_exits(class: &[u8]) -> Cow<'_, [u8]> {
    // Nearly every class is done here: a name in the pool stands behind its tag and its length.
    if find(class, b"\x01\x00\x04exit").is_none() && find(class, b"\x01\x00\x04halt").is_none() {
        return Cow::Borrowed(class);
    }
    rewritten(class).map_or(Cow::Borrowed(class), Cow::Owned)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

fn put_u16(bytes: &mut [u8], at: usize, value: u16) -> Option<()> {
    bytes.get_mut(at..at + 2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

/// Where each constant begins, by its number; and where the pool ends.
struct Pool {
    places: Vec<usize>,
    end: usize,
}

impl Pool {
    fn read(class: &[u8]) -> Option<Self> {
        let count = usize::from(u16_at(class, 8)?);
        // There is no constant 0.
        let (mut places, mut at) = (vec![0], 10);
        while places.len() < count {
            places.push(at);
            at += match *class.get(at)? {
                UTF8 => 3 + usize::from(u16_at(class, at + 1)?),
                3 | 4 | 9 | METHOD | 11 | NAME_AND_TYPE | 17 | 18 => 5,
                // Numbers of 8 bytes take the place of two constants.
                5 | 6 => {
                    places.push(0);
                    9
                }
                CLASS | 8 | 16 | 19 | 20 => 3,
                METHOD_HANDLE => 4,
                _ => return None,
            };
        }
        Some(Self { places, end: at })
    }

    fn place(&self, number: u16, class: &[u8], tag: u8) -> Option<usize> {
        let at = *self.places.get(usize::from(number))?;
        (*class.get(at)? == tag).then_some(at)
    }

    fn text<'a>(&self, number: u16, class: &'a [u8]) -> Option<&'a [u8]> {
        let at = self.place(number, class, UTF8)?;
        class.get(at + 3..at + 3 + usize::from(u16_at(class, at + 1)?))
    }

    /// Owner, name and type of the method that the constant `number` is.
    fn method<'a>(&self, number: u16, class: &'a [u8]) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let at = self.place(number, class, METHOD)?;
        let owner = self.place(u16_at(class, at + 1)?, class, CLASS)?;
        let named = self.place(u16_at(class, at + 3)?, class, NAME_AND_TYPE)?;
        let text = |at| self.text(u16_at(class, at)?, class);
        Some((text(owner + 1)?, text(named + 1)?, text(named + 3)?))
    }
}

fn rewritten(class: &[u8]) -> Option<Vec<u8>> {
    let pool = Pool::read(class)?;
    let (mut of_system, mut of_runtime) = (Vec::new(), Vec::new());
    let numbers = 1..u16::try_from(pool.places.len()).ok()?;
    for number in numbers.clone() {
        match pool.method(number, class) {
            Some((b"java/lang/System", b"exit", b"(I)V")) => of_system.push(number),
            Some((b"java/lang/Runtime", b"exit" | b"halt", b"(I)V")) => of_runtime.push(number),
            _ => {}
        }
    }
    if of_system.is_empty() && of_runtime.is_empty() {
        return None;
    }
    let mut out = class.to_vec();
    // The constants that are added, from this number on: the class with its name, and the method with a runtime in front.
    let first = u16::try_from(pool.places.len()).ok()?;
    let added = first.checked_add(5)?;
    let mut more = Vec::new();
    let text = |more: &mut Vec<u8>, text: &str| {
        more.push(UTF8);
        more.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        more.extend(text.as_bytes());
    };
    text(&mut more, EXIT);
    more.push(CLASS);
    more.extend(first.to_be_bytes());
    text(&mut more, "exit");
    text(&mut more, "(Ljava/lang/Runtime;I)V");
    more.push(NAME_AND_TYPE);
    more.extend((first + 2).to_be_bytes());
    more.extend((first + 3).to_be_bytes());
    for number in &of_system {
        put_u16(&mut out, pool.place(*number, class, METHOD)? + 1, first + 1)?;
    }
    for number in &of_runtime {
        let at = pool.place(*number, class, METHOD)?;
        put_u16(&mut out, at + 1, first + 1)?;
        put_u16(&mut out, at + 3, first + 4)?;
    }
    if !of_runtime.is_empty() {
        for number in numbers {
            if let Some(at) = pool.place(number, class, METHOD_HANDLE)
                && class.get(at + 1) == Some(&HANDLE_VIRTUAL)
                && of_runtime.contains(&u16_at(class, at + 2)?)
            {
                *out.get_mut(at + 1)? = HANDLE_STATIC;
            }
        }
        for at in calls(class, &pool, &of_runtime)? {
            *out.get_mut(at)? = INVOKE_STATIC;
        }
    }
    put_u16(&mut out, 8, added)?;
    out.splice(pool.end..pool.end, more);
    Some(out)
}

/// Where instructions begin that call one of `methods` on an object.
fn calls(class: &[u8], pool: &Pool, methods: &[u16]) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    // Behind the pool: flags, the class itself, the one above it, the interfaces.
    let mut at = pool.end + 8 + 2 * usize::from(u16_at(class, pool.end + 6)?);
    for of_methods in [false, true] {
        let count = u16_at(class, at)?;
        at += 2;
        for _ in 0..count {
            let attributes = u16_at(class, at + 6)?;
            at += 8;
            for _ in 0..attributes {
                let size = u32_at(class, at + 2)?;
                if of_methods && pool.text(u16_at(class, at)?, class) == Some(b"Code") {
                    let code = at + 14;
                    walk(class, code, u32_at(class, at + 10)?, methods, &mut found)?;
                }
                at = at.checked_add(6 + size)?;
            }
        }
    }
    Some(found)
}

fn walk(class: &[u8], begin: usize, size: usize, methods: &[u16], found: &mut Vec<usize>) -> Option<()> {
    let code = class.get(begin..begin.checked_add(size)?)?;
    let mut at = 0;
    while let Some(instruction) = code.get(at) {
        if *instruction == INVOKE_VIRTUAL && methods.contains(&u16_at(code, at + 1)?) {
            found.push(begin + at);
        }
        at = at.checked_add(length(code, at)?)?;
    }
    Some(())
}

/// The length of the instruction at `at`.
fn length(code: &[u8], at: usize) -> Option<usize> {
    // Tables of jumps begin at the next multiple of four.
    let table = at + 4 - at % 4;
    Some(match *code.get(at)? {
        0x10 | 0x12 | 0x15..=0x19 | 0x36..=0x3a | 0xa9 | 0xbc => 2,
        0x11 | 0x13 | 0x14 | 0x84 | 0x99..=0xa8 | 0xb2..=0xb8 | 0xbb | 0xbd | 0xc0 | 0xc1 | 0xc6 | 0xc7 => 3,
        0xc5 => 4,
        0xb9 | 0xba | 0xc8 | 0xc9 => 5,
        // tableswitch: default, low, high, and a jump for each from low to high.
        0xaa => {
            let cases = u32_at(code, table + 8)?.wrapping_sub(u32_at(code, table + 4)?).wrapping_add(1) & 0xffff_ffff;
            table - at + 12 + cases.checked_mul(4)?
        }
        // lookupswitch: default, number of pairs, pairs.
        0xab => table - at + 8 + u32_at(code, table + 4)?.checked_mul(8)?,
        // wide: iinc has two operands.
        0xc4 => {
            if code.get(at + 1) == Some(&0x84) {
                6
            } else {
                4
            }
        }
        0x00..=0xc9 => 1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `static void m(int i)` of a class `T` that calls `Runtime.getRuntime().exit(i)` behind a table of jumps, and `System.exit(i)`.
    fn class() -> Vec<u8> {
        let mut pool: Vec<Vec<u8>> = Vec::new();
        let mut add = |bytes: Vec<u8>| {
            pool.push(bytes);
            u16::try_from(pool.len()).unwrap()
        };
        let text = |text: &str| [&[UTF8][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
        let pair = |tag: u8, one: u16, two: u16| [&[tag][..], &one.to_be_bytes(), &two.to_be_bytes()].concat();
        let names =
            ["T", "java/lang/Object", "java/lang/System", "java/lang/Runtime", "exit", "(I)V", "m", "Code"].map(|name| add(text(name)));
        let [t, object, system, runtime, exit, int, m, code] = names;
        let [t, object, system, runtime] = [t, object, system, runtime].map(|name| add([&[CLASS][..], &name.to_be_bytes()].concat()));
        let named = add(pair(NAME_AND_TYPE, exit, int));
        let of_system = add(pair(METHOD, system, named));
        let of_runtime = add(pair(METHOD, runtime, named));
        add([&[METHOD_HANDLE, HANDLE_VIRTUAL][..], &of_runtime.to_be_bytes()].concat());
        // A number whose bytes look like the call, and which takes two places.
        add([5, INVOKE_VIRTUAL, 0, u8::try_from(of_runtime).unwrap(), 0, 0, 0, 0, 0].to_vec());
        let [_, high] = of_runtime.to_be_bytes().map(|byte| byte);
        let mut body = vec![0x1a, 0xaa, 0, 0, 0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 23];
        body.extend([0x01, 0x1a, INVOKE_VIRTUAL, 0, high, 0x1a, INVOKE_STATIC, 0, u8::try_from(of_system).unwrap(), 0xb1]);
        let count = u16::try_from(pool.len()).unwrap() + 2;
        let mut class = [&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52][..], &count.to_be_bytes(), &pool.concat()].concat();
        class.extend([0, 0x20]);
        for number in [t, object, 0, 0, 1, 8, m, int, 1, code] {
            class.extend(number.to_be_bytes());
        }
        class.extend(u32::try_from(12 + body.len()).unwrap().to_be_bytes());
        class.extend([0, 4, 0, 4]);
        class.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        class.extend(&body);
        class.extend([0, 0, 0, 0, 0, 0]);
        class
    }

    #[test]
    fn calls_and_references_that_end_the_process_go_to_the_base() {
        let class = class();
        let out = without_exits(&class);
        let pool = Pool::read(&out).unwrap();
        let methods: Vec<_> = (1..u16::try_from(pool.places.len()).unwrap()).filter_map(|number| pool.method(number, &out)).collect();
        assert_eq!(methods, [(EXIT.as_bytes(), &b"exit"[..], &b"(I)V"[..]), (EXIT.as_bytes(), b"exit", b"(Ljava/lang/Runtime;I)V")]);
        assert!(calls(&out, &pool, &[14]).unwrap().is_empty(), "the call on an object is none any more");
        assert_eq!(calls(&class, &Pool::read(&class).unwrap(), &[15]).unwrap().len(), 1);
        let handle = (1..u16::try_from(pool.places.len()).unwrap()).find_map(|number| pool.place(number, &out, METHOD_HANDLE)).unwrap();
        assert_eq!(out[handle + 1], HANDLE_STATIC);
    }

    #[test]
    fn a_class_without_such_calls_is_left_as_it_is() {
        let mut class = class();
        let at = class.windows(16).position(|window| window == b"java/lang/System").unwrap();
        class[at] = b'k';
        let at = class.windows(17).position(|window| window == b"java/lang/Runtime").unwrap();
        class[at] = b'k';
        assert!(matches!(without_exits(&class), Cow::Borrowed(_)));
        assert!(matches!(without_exits(b"\x01\x00\x04exit"), Cow::Borrowed(_)), "no class file at all");
    }

    #[test]
    fn a_class_cut_short_or_torn_anywhere_is_left_to_the_jvm_and_never_panics() {
        let class = class();
        for end in 0..class.len() {
            let _ = without_exits(&class[..end]);
            for wrong in [0, 1, 0x7f, 0xff] {
                let mut torn = class.clone();
                torn[end] = wrong;
                let _ = without_exits(&torn);
            }
        }
    }
}
