//! The size of a file, and its size in the deployed zip.

use std::{
    fs,
    io::{self, Cursor, Write},
    path::Path,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::Error;

/// The level that the CDK uses.
const ZIP_LEVEL: i64 = 9;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub binary: u64,
    pub zip: u64,
}

pub fn sizes(file: &Path) -> Result<Sizes, Error> {
    let what = file.display().to_string();
    let content = fs::read(file).map_err(Error::io(&what))?;
    let zip = zipped(&content).map_err(Error::io(&what))?;
    Ok(Sizes {
        binary: content.len() as u64,
        zip,
    })
}

fn zipped(content: &[u8]) -> io::Result<u64> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(ZIP_LEVEL));
    zip.start_file("bootstrap", options)?;
    zip.write_all(content)?;
    Ok(zip.finish()?.into_inner().len() as u64)
}
