//! What the agent gives back of the memory of its process.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::{
    ffi::{c_int, c_void},
    ptr,
};

/// Gives memory back to the system that the C library keeps free: the VM takes its metaspace and its own structures from there.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` may be called at any time from any thread; it only touches what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of what is in memory of this library's own file: most of it was needed for the start alone. What is needed again is read again, out
/// of the system's cache as a rule.
pub(crate) fn rest() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the callback below is given what it expects.
    unsafe {
        libc::dl_iterate_phdr(Some(rest_if_own), ptr::null_mut());
    }
}

/// Called for each library of the process, until it answers something else than zero.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" fn rest_if_own(library: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker passes a description that is valid for the call, with so many headers.
    let (base, headers) = unsafe {
        let library = &*library;
        (library.dlpi_addr, std::slice::from_raw_parts(library.dlpi_phdr, usize::from(library.dlpi_phnum)))
    };
    let me = rest as *const () as u64;
    let range = |header: &libc::Elf64_Phdr| base + header.p_vaddr..base + header.p_vaddr + header.p_filesz;
    let parts = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    if !parts().any(|header| range(header).contains(&me)) {
        return 0;
    }
    // SAFETY: asking for the size of a page has no effect.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096).max(1);
    for header in parts().filter(|header| header.p_flags & libc::PF_W == 0) {
        let range = range(header);
        let (start, end) = (range.start.next_multiple_of(page), range.end / page * page);
        if let (Ok(start), Ok(length @ 1..)) = (usize::try_from(start), usize::try_from(end.saturating_sub(start))) {
            // SAFETY: whole pages of a part of this file that is mapped read-only: nobody writes to them, and they come back as they were.
            unsafe {
                libc::madvise(ptr::without_provenance_mut(start), length, libc::MADV_DONTNEED);
            }
        }
    }
    1
}
