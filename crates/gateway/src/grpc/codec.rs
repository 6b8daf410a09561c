//! Messages in protocol buffers, with room set aside for small ones.
//!
//! tonic's own codec sets 8 KiB aside for each message that comes and each that goes. A prediction of one row
//! takes a few hundred bytes, which the allocator has at hand; what is longer grows as it comes.
//!
//! A message that is none is its sender's fault. tonic takes it for a fault of its own, as gRPC's libraries do, for
//! which operators would be woken.

use std::{marker::PhantomData, sync::Arc};

use prost::Message;
use tonic::{
    Status,
    codec::{self, BufferSettings, DecodeBuf},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

const ROOM: usize = 512;
/// Of a stream so much is sent at once, as tonic does it.
const AT_ONCE: usize = 32 << 10;

/// tonic's codec of messages, but for the room and whom it blames.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(ROOM, AT_ONCE))
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder(ProstDecoder::new(BufferSettings::new(ROOM, AT_ONCE)))
    }
}

/// tonic's decoder, but for whom it blames.
#[derive(Debug)]
pub struct Decoder<U>(ProstDecoder<U>);

impl<U: Message + Default> codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        self.0.decode(buffer).map_err(|error| {
            let mut status = Status::invalid_argument(error.message());
            // By its source, whoever asked another node knows that it is not what that node says.
            status.set_source(Arc::new(error));
            status
        })
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
