//! Unpacks deflated data, never to more than was declared.

use std::sync::{Mutex, PoisonError};

use libdeflater::{DecompressionError, Decompressor};

/// Decompressors that rest. Each is a dozen KB, so they are shared by the threads of the JVM, of which there may be
/// hundreds, and not kept by each.
static RESTING: Mutex<Vec<Decompressor>> = Mutex::new(Vec::new());

/// How many rest at most: about as many as load classes at the same time.
const RESTING_MOST: usize = 8;
/// The most that a byte of deflated data becomes: a match of 258 bytes for two codes of one bit each.
const MOST_EACH: usize = 1_032;

/// Unpacks `data`, which must become exactly `size` bytes. At a fault, says how it shows.
pub(crate) fn inflate(data: &[u8], size: usize) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "it ends before its declared size";
    if size > data.len().saturating_mul(MOST_EACH) {
        // What is declared so is no memory to ask for.
        return Err(SHORT);
    }
    let mut unpacked = Vec::new();
    unpacked.try_reserve_exact(size).map_err(|_| "there is no memory for its declared size")?;
    unpacked.resize(size, 0);
    let mut decompressor = resting().pop().unwrap_or_default();
    let became = decompressor.deflate_decompress(data, &mut unpacked);
    let mut resting = resting();
    if resting.len() < RESTING_MOST {
        resting.push(decompressor);
    }
    drop(resting);
    match became {
        Ok(became) if became == size => Ok(unpacked),
        Ok(_) => Err(SHORT),
        Err(DecompressionError::InsufficientSpace) => Err("it goes on beyond its declared size"),
        Err(DecompressionError::BadData) => Err("it is not deflated data"),
    }
}

fn resting() -> std::sync::MutexGuard<'static, Vec<Decompressor>> {
    // A decompressor knows nothing of the data before, so the list is right even if a thread ended while it held the lock.
    RESTING.lock().unwrap_or_else(PoisonError::into_inner)
}
