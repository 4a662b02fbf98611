// What the decode kernels share with the host.

#include "coder.glsl"

struct DecodeBlock {
    // First word (32 bits) of the payload.
    uint payload;
    // Bytes of the payload.
    uint coded_size;
    // First word of the raw bytes.
    uint raw;
    // Bytes that the block decodes to.
    uint raw_size;
    uint table_log;
    uint coder;
    // First entry of the block in streams[]: one for each segment, and one.
    uint streams;
};

// Words of a block in tables[]: first slot << 16 | symbol for each symbol that is present, in the order of slots, and 2^K << 16
// from there on. That order is of symbols; with huff of codes, canonically, where a code of length l has 2^(K - l) slots.
#define RUNS 257u

// Status words: ranvil::BlockFault.
#define FAULT_TABLE 4u
#define FAULT_SEGMENT_SIZES 5u
#define FAULT_STREAM 6u
#define FAULT_FINAL_STATE 7u

#define NO_FAULT 0xffffffffu
