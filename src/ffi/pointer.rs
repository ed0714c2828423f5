//! Pointers of the host, checked and turned into Rust's references one operation at a time.
//!
//! A null pointer for a required argument is `E_INVALID` with the argument's name. Sized structs
//! are copied by their `struct_size`: programs compiled with an older header give and take shorter
//! ones, and a longer one is accepted if the fields that we do not know are zero.

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::slice;

use super::fault::Fault;

/// A struct of the header that begins with `struct_size`.
///
/// # Safety
/// `repr(C)`, begins with a `u32`, and every pattern of bits is a value of it.
pub(super) unsafe trait SizedStruct: Default {
    /// The size that the first version of the struct had.
    const FIRST: usize = size_of::<Self>();
}

/// Where an output goes, once all went well.
#[derive(Debug)]
pub(super) struct Output<T>(NonNull<T>);

impl<T> Output<T> {
    pub(super) fn set(self, value: T) {
        // SAFETY: `output` was promised that it is valid for this write.
        unsafe { self.0.write(value) };
    }
}

/// An output that must be there.
///
/// # Safety
/// `pointer` is null or valid for writes of a `T` during the call that it came with.
pub(super) unsafe fn output<T>(pointer: *mut T, name: &'static str) -> Result<Output<T>, Fault> {
    NonNull::new(pointer).map(Output).ok_or_else(|| is_null(name))
}

/// A text that must be there.
///
/// # Safety
/// `pointer` is null or a text with a zero byte at its end, for as long as `'a`.
pub(super) unsafe fn text<'a>(
    pointer: *const c_char,
    name: &'static str,
) -> Result<&'a str, Fault> {
    // SAFETY: passed on.
    unsafe { optional_text(pointer, name) }?.ok_or_else(|| is_null(name))
}

/// A text that may be null.
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn optional_text<'a>(
    pointer: *const c_char,
    name: &'static str,
) -> Result<Option<&'a str>, Fault> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    match text.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Fault::invalid(format!("{name} is not UTF-8"))),
    }
}

/// Bytes; null is fine if there are none.
///
/// # Safety
/// `pointer` is null or valid for reads of `len` bytes for as long as `'a`.
pub(super) unsafe fn bytes<'a>(
    pointer: *const u8,
    len: usize,
    name: &'static str,
) -> Result<&'a [u8], Fault> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(is_null(name));
    }
    check_length(len, name)?;
    // SAFETY: not null, not too long, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// A list of structs; null is fine for an empty one.
///
/// # Safety
/// `pointer` is null or valid for reads of `count` values for as long as `'a`.
pub(super) unsafe fn list<'a, T>(
    pointer: *const T,
    count: usize,
    name: &'static str,
) -> Result<&'a [T], Fault> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(is_null(name));
    }
    check_length(count.saturating_mul(size_of::<T>()), name)?;
    // SAFETY: not null, not too long, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// A buffer to be filled; null is fine if it has no room.
///
/// # Safety
/// `pointer` is null or valid for reads and writes of `len` bytes, used by no one else, for as long
/// as `'a`.
pub(super) unsafe fn buffer<'a>(
    pointer: *mut u8,
    len: usize,
    name: &'static str,
) -> Result<&'a mut [u8], Fault> {
    if len == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() {
        return Err(is_null(name));
    }
    // A host may pass a very large cap to mean "no limit".
    let len = len.min(isize::MAX as usize);
    // SAFETY: not null, not too long, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, len) })
}

/// Copies a text, cut at a character's edge, with a zero byte behind it, to where there is room.
///
/// # Safety
/// `buffer` is null or valid for writes of `room` bytes.
pub(super) unsafe fn copy_text(text: &str, buffer: *mut c_char, room: usize) {
    if buffer.is_null() || room == 0 {
        return;
    }
    let mut length = text.len().min(room - 1);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    let buffer = buffer.cast::<u8>();
    // SAFETY: `length < room`; our text does not overlap the host's buffer.
    unsafe { buffer.copy_from_nonoverlapping(text.as_ptr(), length) };
    // SAFETY: `length < room`.
    let end = unsafe { buffer.add(length) };
    // SAFETY: as above.
    unsafe { end.write(0) };
}

/// Copies a text as [`copy_text`] does, and puts its whole length where it is wanted.
///
/// # Safety
/// As `copy_text`, and `len` is null or valid for a write.
pub(super) unsafe fn put_text(
    text: &str,
    buffer: *mut c_char,
    room: usize,
    len: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: passed on.
    unsafe { copy_text(text, buffer, room) };
    if !len.is_null() {
        // SAFETY: the caller's promise.
        unsafe { len.write(text.len()) };
    }
    Ok(())
}

/// Why a sized struct cannot be read or written; becomes a [`Fault`] with the argument's name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unfit {
    Null,
    Size { size: usize, first: usize },
    Unknown,
}

impl Unfit {
    pub(super) fn named(self, name: &'static str) -> Fault {
        match self {
            Self::Null => is_null(name),
            Self::Size { size, first } => Fault::invalid(format!(
                "{name}->struct_size is {size}, allowed: sizeof *{name} ({first} or more)"
            )),
            Self::Unknown => {
                Fault::invalid(format!("{name} sets what this version of peerbeat does not know"))
            }
        }
    }
}

/// A copy of a struct of the host. Makes no use of the heap.
///
/// # Safety
/// `pointer` is null or valid for reads of as many bytes as its `struct_size` says.
pub(super) unsafe fn read_sized<T: SizedStruct>(pointer: *const T) -> Result<T, Unfit> {
    if pointer.is_null() {
        return Err(Unfit::Null);
    }
    // SAFETY: not null, and a `T` begins with its size.
    let size = unsafe { declared_size(pointer) };
    check_size::<T>(size)?;
    let begin = pointer.cast::<u8>();
    if size > size_of::<T>() {
        // SAFETY: within the declared size.
        let tail = unsafe { begin.add(size_of::<T>()) };
        // SAFETY: what follows `T` up to the declared size.
        let tail = unsafe { slice::from_raw_parts(tail, size - size_of::<T>()) };
        if tail.iter().any(|&byte| byte != 0) {
            return Err(Unfit::Unknown);
        }
    }
    let mut value = T::default();
    let count = size.min(size_of::<T>());
    // SAFETY: both are at least that long; any bytes make a `T`.
    unsafe { (&raw mut value).cast::<u8>().copy_from_nonoverlapping(begin, count) };
    Ok(value)
}

/// Checks that a struct of the host could be filled.
///
/// # Safety
/// `pointer` is null or valid for reads of a size.
pub(super) unsafe fn check_sized<T: SizedStruct>(
    pointer: *const T,
    name: &'static str,
) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: not null, and a `T` begins with its size.
    check_size::<T>(unsafe { declared_size(pointer) }).map_err(|unfit| unfit.named(name))
}

/// Fills a struct of the host, except its `struct_size`.
///
/// # Safety
/// `pointer` is null or valid for reads and writes of as many bytes as its `struct_size` says.
pub(super) unsafe fn write_sized<T: SizedStruct>(
    pointer: *mut T,
    value: &T,
    name: &'static str,
) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: not null, and a `T` begins with its size.
    let size = unsafe { declared_size(pointer) };
    check_size::<T>(size).map_err(|unfit| unfit.named(name))?;
    let count = size.min(size_of::<T>()) - SIZE;
    // SAFETY: a `T` is longer than its size field.
    let from = unsafe { (&raw const *value).cast::<u8>().add(SIZE) };
    // SAFETY: as above.
    let to = unsafe { pointer.cast::<u8>().add(SIZE) };
    // SAFETY: both go on for `count` bytes.
    unsafe { to.copy_from_nonoverlapping(from, count) };
    Ok(())
}

/// One of our texts for C. One cannot hold a zero byte: it ends there.
pub(super) fn c_text(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}

pub(super) fn is_null(name: &'static str) -> Fault {
    Fault::null(name)
}

unsafe fn declared_size<T>(pointer: *const T) -> usize {
    // SAFETY: passed on: four bytes are there.
    unsafe { pointer.cast::<u32>().read() as usize }
}

pub(super) fn check_size<T: SizedStruct>(size: usize) -> Result<(), Unfit> {
    match size {
        size if (T::FIRST..=SIZE_MAX).contains(&size) => Ok(()),
        size => Err(Unfit::Size { size, first: T::FIRST }),
    }
}

fn check_length(len: usize, name: &'static str) -> Result<(), Fault> {
    if len <= isize::MAX as usize {
        return Ok(());
    }
    Err(Fault::invalid(format!("the length of {name} is {len}")))
}

/// The size of a `struct_size`.
const SIZE: usize = 4;
/// No struct of any version will be larger; a larger size is not one.
const SIZE_MAX: usize = 64 << 10;
