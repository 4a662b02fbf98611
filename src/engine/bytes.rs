//! The bytes of a block: in a buffer of the engine's, or where the caller has them.

use std::{
    fmt::Debug,
    mem::{replace, take},
    ops::Deref,
};

use super::resize_exact;

/// See the [module](self).
#[derive(Debug)]
pub(crate) enum Bytes<'a> {
    Own(Vec<u8>),
    /// A piece of the caller's input.
    Lent(&'a [u8]),
    /// A place in the caller's output, as long as what belongs there.
    Place(&'a mut [u8]),
    /// Where a device has left them, and a buffer that waits meanwhile. Dropping the former lets the device go on.
    Held(Vec<u8>, Box<dyn Held>),
}

/// Bytes that stay where they are as long as this lives.
pub(crate) trait Held: Debug + Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl Default for Bytes<'_> {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(buffer) => buffer,
            Self::Lent(bytes) => bytes,
            Self::Place(place) => place,
            Self::Held(_, held) => held.bytes(),
        }
    }
}

impl Bytes<'_> {
    /// They, if they are a piece of the caller's input.
    pub fn lent(&self) -> Option<&[u8]> {
        match self {
            Self::Lent(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The same of a place in the caller's output.
    pub fn place(&self) -> Option<&[u8]> {
        match self {
            Self::Place(place) => Some(place),
            _ => None,
        }
    }

    /// The buffer; an empty one from now on, if it was none.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.let_go();
        if !matches!(self, Self::Own(_)) {
            *self = Self::default();
        }
        match self {
            Self::Own(buffer) => buffer,
            _ => unreachable!("made one above"),
        }
    }

    /// From now on the bytes that are held, beside the buffer that it is.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        *self = Self::Held(take(self.buffer()), held);
    }

    /// Lets a device go on: the buffer, with whatever it has, instead of bytes that are held.
    pub fn let_go(&mut self) {
        if let Self::Held(buffer, _) = self {
            *self = Self::Own(take(buffer));
        }
    }

    /// Gives it that length, to be written; `None` if it is a place of another.
    pub fn sized(&mut self, length: usize) -> Option<&mut [u8]> {
        match self {
            Self::Place(place) => (place.len() == length).then_some(&mut **place),
            _ => {
                let buffer = self.buffer();
                resize_exact(buffer, length);
                Some(buffer)
            }
        }
    }

    /// Takes the bytes of `other`; false if there is no place for so many.
    pub fn accept(&mut self, other: Self) -> bool {
        match self {
            Self::Place(place) if place.len() == other.len() => place.copy_from_slice(&other),
            Self::Place(_) => return false,
            _ => drop(replace(self, other)),
        }
        true
    }

    /// The same bytes once more: a copy only of a buffer.
    pub fn again(&self) -> Self {
        match self {
            Self::Lent(bytes) => Self::Lent(bytes),
            _ => Self::Own(self.to_vec()),
        }
    }

    /// Bytes of memory that they take here.
    pub fn capacity(&self) -> usize {
        match self {
            Self::Own(buffer) | Self::Held(buffer, _) => buffer.capacity(),
            _ => 0,
        }
    }
}
