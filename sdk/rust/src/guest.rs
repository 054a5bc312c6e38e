//! The boundary to the host: Extism's kernel, the host functions of Millwright, and WASI's stderr. The only unsafe code of this crate is here.
//!
//! A block of the kernel's memory is named by an offset that the kernel chose; it is read and written through the kernel, eight bytes or one at
//! a time, and so no pointer of the host ever comes in.

use std::sync::Once;

use crate::host::{HttpError, HttpRequest, HttpResponse, LogRecord};
use crate::{json, Error};

#[link(wasm_import_module = "extism:host/env")]
extern "C" {
    fn input_length() -> u64;
    fn input_load_u8(at: u64) -> u32;
    fn input_load_u64(at: u64) -> u64;
    fn output_set(offset: u64, length: u64);
    fn error_set(offset: u64);
    #[link_name = "alloc"]
    fn kernel_alloc(length: u64) -> u64;
    #[link_name = "free"]
    fn kernel_free(offset: u64);
    #[link_name = "length"]
    fn kernel_length(offset: u64) -> u64;
    fn load_u8(offset: u64) -> u32;
    fn load_u64(offset: u64) -> u64;
    fn store_u8(offset: u64, v: u32);
    fn store_u64(offset: u64, v: u64);
}

#[link(wasm_import_module = "millwright")]
extern "C" {
    #[link_name = "log"]
    fn host_log(record: u64);
    #[link_name = "http_send"]
    fn host_http_send(request: u64) -> u64;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn fd_write(fd: i32, vectors: *const Vector, count: usize, written: *mut usize) -> i32;
}

/// WASI's ciovec.
#[repr(C)]
struct Vector {
    start: *const u8,
    length: usize,
}

/// Runs one export between Extism's input and output. It returns 0, or 1 with Extism's error set.
pub fn run(export: &str, call: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Error>) -> i32 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|info| last_words(&info.to_string()))));
    match call(export, &input()) {
        Ok(output) => {
            let block = Block::new(&output);
            unsafe { output_set(block.0, output.len() as u64) }; // and the kernel keeps the block
            0
        }
        Err(e) => {
            unsafe { error_set(Block::new(e.to_string().as_bytes()).0) };
            1
        }
    }
}

fn input() -> Vec<u8> {
    let length = unsafe { input_length() };
    read(length, |at| unsafe { input_load_u64(at) }, |at| unsafe { input_load_u8(at) })
}

/// Copies `length` bytes out of the kernel.
fn read(length: u64, eight: impl Fn(u64) -> u64, one: impl Fn(u64) -> u32) -> Vec<u8> {
    let mut out = vec![0; length as usize];
    let mut words = out.chunks_exact_mut(8);
    let mut at = 0;
    for word in &mut words {
        word.copy_from_slice(&eight(at).to_le_bytes());
        at += 8;
    }
    for b in words.into_remainder() {
        *b = one(at) as u8;
        at += 1;
    }
    out
}

/// A block of the kernel's memory.
struct Block(u64);

impl Block {
    fn new(data: &[u8]) -> Self {
        let offset = unsafe { kernel_alloc(data.len() as u64) };
        let mut words = data.chunks_exact(8);
        let mut at = offset;
        for word in &mut words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            unsafe { store_u64(at, u64::from_le_bytes(bytes)) };
            at += 8;
        }
        for b in words.remainder() {
            unsafe { store_u8(at, u32::from(*b)) };
            at += 1;
        }
        Block(offset)
    }

    fn data(&self) -> Vec<u8> {
        let length = unsafe { kernel_length(self.0) };
        read(length, |at| unsafe { load_u64(self.0 + at) }, |at| unsafe { load_u8(self.0 + at) })
    }

    fn free(self) {
        unsafe { kernel_free(self.0) }
    }
}

pub(crate) fn log(record: &LogRecord) {
    if let Ok(text) = json::encode(record) {
        let block = Block::new(&text);
        unsafe { host_log(block.0) };
        block.free();
    }
}

pub(crate) fn http_send(request: &HttpRequest) -> HttpResponse {
    let sent = json::encode(request).map(|text| {
        let block = Block::new(&text);
        let answer = Block(unsafe { host_http_send(block.0) });
        block.free();
        let data = answer.data();
        answer.free();
        data
    });
    let answer = sent.and_then(|data| json::read(&data));
    answer.unwrap_or_else(|message| HttpResponse {
        error: Some(HttpError { kind: "invalid".to_string(), message }),
        ..Default::default()
    })
}

/// Writes why the guest ends to stderr, of which the host shows one line.
fn last_words(text: &str) {
    let text = format!("panic: {}\n", text.replace('\n', " "));
    let vector = Vector { start: text.as_ptr(), length: text.len() };
    let mut written = 0;
    unsafe { fd_write(2, &vector, 1, &mut written) };
}
