// What the encode kernels share with each other and with the host.

#include "coder.glsl"

struct EncodeBlock {
    // First word (32 bits) of the raw bytes.
    uint raw;
    // Bytes to encode.
    uint raw_size;
    // First word of the payload, which is smaller than the raw bytes. Before it there is room for a segment that goes too far.
    uint payload;
    // First word of its segments' counts.
    uint counts;
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

// Bytes of a chunk, which a workgroup of histogram.comp counts at a time.
#define CHUNK_LOG 18u
uint chunk_count(EncodeBlock block) { return (block.raw_size + (1u << CHUNK_LOG) - 1u) >> CHUNK_LOG; }

uint segment_size(EncodeBlock block, uint segment, uint segment_log) {
    uint begin = min(segment << segment_log, block.raw_size);
    return min(block.raw_size - begin, 1u << segment_log);
}

// Words of two neighbouring segments in counts[]: how often each byte value occurs in the first one, and in the high half in the second;
// at most 65,535.
#define COUNT_WORDS 256u
#define MOST_COUNT 0xffffu
