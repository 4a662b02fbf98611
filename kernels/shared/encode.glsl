// What the encode kernels share with each other and with the host.

#include "coder.glsl"

struct EncodeBlock {
    // First word (32 bits) of the raw bytes, and of the space for its payload, which is no larger.
    uint raw;
    // Bytes to encode.
    uint raw_size;
    // First word of the space for the segments' streams.
    uint scratch;
    // Number of the first histogram chunk: those of all blocks are counted through.
    uint chunk;
    uint coder;
    // 0: the rule of docs/DECISIONS.md.
    uint forced_log;
};

// What is known of a block once its table is made.
struct EncodeInfo {
    uint kind;
    uint table_log;
    // Bytes of the serialised table.
    uint table_size;
};

struct EncodeResult {
    uint kind;
    // 0 unless the kind is coded, as is the payload's first word.
    uint table_log;
    uint coded_size;
    uint payload;
};

// ranvil::format::BlockKind.
#define KIND_STORED 0u
#define KIND_SINGLE 1u
#define KIND_CODED 2u

// Segments of a block of 1 MiB.
#define MOST_SEGMENTS 256u

// Words for a block's serialised table: 2 and 32 bytes of masks, 256 classes of 4 bits, and less than 11 bits for
// every other part of a frequency.
#define TABLE_WORDS 132u

// Bytes that a workgroup of histogram.comp counts.
#define CHUNK_LOG 18u
uint chunk_count(EncodeBlock block) { return (block.raw_size + (1u << CHUNK_LOG) - 1u) >> CHUNK_LOG; }

// Words (32 bits) of space for the stream of a segment of `size` bytes: initial states and last words, at most 320 bytes, and
// 13 bits a symbol; a multiple of 128 bytes. A window takes at most 12 bits a symbol, rans 12.09: a state is at least
// f << (16 - K) before it grows to (x / f << K) + ..., which is less than (1 + 1/16) x (2^K / f) since x / f >= 16, and a
// word takes 16 bits off.
uint stream_space(uint size) { return (size * 13u / 32u + 112u) / 32u * 32u; }

uint segment_size(EncodeBlock block, uint segment, uint segment_log) {
    uint begin = min(segment << segment_log, block.raw_size);
    return min(block.raw_size - begin, 1u << segment_log);
}

// First word (32 bits) of the space of a segment.
uint segment_scratch(EncodeBlock block, uint segment, uint segment_log) {
    return block.scratch + segment * stream_space(1u << segment_log);
}
