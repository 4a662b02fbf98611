// The encode kernels: the segments of a block, and its payload. One workgroup a block. Symbols are taken backward and words
// are emitted backward, from the end of each segment's space, so that the stream reads forward. Groups work on as many
// segments as they hold, and copy their streams to the payload when they know each other's lengths. A coder defines its
// number, CODER; the types of a lane's state and of what it knows of a symbol, STATE and ENTRY; and the functions declared
// below.
//
// variant: subgroup32 SUBGROUP=32 STREAMS=2 WORKGROUP=256
// variant: subgroup64 SUBGROUP=64 STREAMS=2 WORKGROUP=256
// variant: subgroup16 SUBGROUP=16 STREAMS=1 WORKGROUP=256
// variant: subgroup8 SUBGROUP=8 STREAMS=1 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 STREAMS=1 WORKGROUP=64
// variant: shared SHARED=1 STREAMS=1 WORKGROUP=64

#include "lanes.glsl"
#include "encode.glsl"

layout(push_constant) uniform EncodePush {
    uint segment_log;
};
layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Raw { uint raw[]; };
layout(std430, binding = 2) readonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) readonly buffer Tables { uint tables[]; };
layout(std430, binding = 4) readonly buffer Entries { uint entries[]; };
// The streams, each at the end of its space; two words in a u32.
layout(std430, binding = 5) coherent buffer Scratch { uint scratch[]; };
layout(std430, binding = 6) writeonly buffer Results { EncodeResult results[]; };
layout(std430, binding = 7) writeonly buffer Payload { uint payload[]; };

// Words not yet written out: fewer than 64 are left over, and a tile adds at most 128.
#define RING 256u
#define ALL_RINGS (GROUPS * STREAMS * RING)
#ifndef LEAST_RINGS
#define LEAST_RINGS RING
#endif
shared uint rings[ALL_RINGS > LEAST_RINGS ? ALL_RINGS : LEAST_RINGS];

// Words of the segments' streams.
shared uint lengths[MOST_SEGMENTS];
// Words (32 bits) of a stream that an invocation copies at once.
#define COPIES_AHEAD 4u

uint table_log;

// What a coder defines. Makes ready for a block, from its 512 words of entries[]; called in uniform control flow, with a
// barrier after it.
void fill_table(uint first);
// The state that holds a seed of 16 bits.
STATE seeded_state(uint seed);
ENTRY look_up(uint symbol);
// What comes before the word: whether one is too much.
bool put_symbol(inout STATE x, ENTRY entry);
// Takes a word off, in the low half.
uint give_word(inout STATE x);
// What comes after it.
void finish_symbol(inout STATE x, ENTRY entry);
// The state as written.
uint initial_word(STATE x);

// One segment in work.
struct Stream {
    STATE x[LANES];
    // Places in scratch[], in words: the end of its space, the last word emitted, and the last one written out.
    uint end, p, written;
    uint ring;
    // First word of its raw bytes.
    uint raw;
    // Bytes of the segment and of its body; 0 if there is no such segment.
    uint size, body;
};

// Encodes a symbol on each of the first lanes: those whose symbol of step s is before `limit`. With `checked` false all
// lanes are among them.
void encode_step(const bool checked, uint s, uint limit, uint quad[LANES], inout Stream stream) {
    STATE x[LANES];
    ENTRY entry[LANES];
    bool need[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        x[j] = stream.x[j];
        entry[j] = look_up(quad[j] >> 8u * s & 0xffu);
        need[j] = put_symbol(x[j], entry[j]);
        if (checked) need[j] = need[j] && 4u * lane(j) + s < limit;
    }
    uint at[LANES];
    claim_back(stream.p, need, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        if (need[j]) rings[stream.ring + at[j] % RING] = give_word(x[j]);
        finish_symbol(x[j], entry[j]);
        if (!checked || 4u * lane(j) + s < limit) stream.x[j] = x[j];
    }
}

// Four symbols for each lane.
void load_tile(Stream streams[STREAMS], uint tile, out uint quads[STREAMS][LANES]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            quads[k][j] = raw[streams[k].raw + tile * (TILE / 4u) + lane(j)];
        }
    }
}

// Encodes a tile of each stream, of which all are whole if `checked` is false.
void encode_tile(const bool checked, uint tile, uint quads[STREAMS][LANES], inout Stream streams[STREAMS]) {
    UNROLL_STEPS for (uint s = 4u; s-- > 0u;) {
        [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
            uint limit = max(streams[k].body, tile * TILE) - tile * TILE;
            encode_step(checked, s, limit, quads[k], streams[k]);
        }
    }
}

// Writes out the words of positions written - 64 to written - 1, those before p as zero.
void write_out(inout Stream stream) {
    stream.written -= 64u;
    UNROLL_STEPS for (uint j = 0u; j < LANES; j++) {
        uint at = stream.written + 2u * lane(j);
        uint low = at >= stream.p ? rings[stream.ring + at % RING] : 0u;
        uint high = at + 1u >= stream.p ? rings[stream.ring + at % RING + 1u] : 0u;
        scratch[at / 2u] = low | high << 16;
    }
}

void write_out_whole(inout Stream streams[STREAMS]) {
    group_barrier();
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        UNROLL_STEPS for (uint i = 0u; i < 2u; i++) {
            if (streams[k].written - streams[k].p >= 64u) write_out(streams[k]);
        }
    }
    group_barrier();
}

uint raw_byte(uint word, uint i) { return raw[word + i / 4u] >> 8u * (i % 4u) & 0xffu; }

Stream open(EncodeBlock block, uint segment, uint ring) {
    Stream stream;
    stream.size = segment_size(block, segment, segment_log);
    stream.body = max(stream.size, 64u) - 64u;
    stream.end = 2u * segment_scratch(block, segment, segment_log) + stream_space(stream.size);
    stream.p = stream.end;
    stream.written = stream.end;
    stream.ring = ring;
    stream.raw = block.raw + (segment << segment_log) / 4u;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        uint at = stream.body + 2u * lane(j);
        uint seed = 0u;
        if (at < stream.size) seed |= raw_byte(stream.raw, at);
        if (at + 1u < stream.size) seed |= raw_byte(stream.raw, at + 1u) << 8;
        stream.x[j] = seeded_state(seed);
    }
    return stream;
}

// The initial states as 64 more words, and whatever the ring still holds.
void close(inout Stream streams[STREAMS]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        if (streams[k].size == 0u) continue;
        streams[k].p -= 64u;
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            uint at = streams[k].p + 2u * lane(j);
            uint word = initial_word(streams[k].x[j]);
            rings[streams[k].ring + at % RING] = word & 0xffffu;
            rings[streams[k].ring + (at + 1u) % RING] = word >> 16;
        }
    }
    write_out_whole(streams);
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        if (streams[k].written > streams[k].p) write_out(streams[k]);
    }
}

// Encodes the segments from `base` on, as many as there are groups for.
void encode_segments(EncodeBlock block, uint base, out Stream streams[STREAMS]) {
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        uint own = group() * STREAMS + k;
        streams[k] = open(block, base + own, own * RING);
    }
    // Only the last segment of a block is short: none is longer than the first of those in work. All groups go as
    // often through the barriers, since lavapipe takes a subgroup's barrier for the workgroup's.
    uint tile = (max(segment_size(block, base, segment_log), 64u) - 64u + TILE - 1u) / TILE;
    // Tiles that are whole in all streams of the group.
    uint whole = streams[0].body / TILE;
    [[unroll]] for (uint k = 1u; k < STREAMS; k++) whole = min(whole, streams[k].body / TILE);
    uint quads[STREAMS][LANES];
#ifdef FAST_PATH
    for (; tile > 0u && !all_groups(tile <= whole); write_out_whole(streams)) {
#else
    for (; tile > 0u; write_out_whole(streams)) {
#endif
        tile--;
        load_tile(streams, tile, quads);
        encode_tile(true, tile, quads, streams);
    }
#ifdef FAST_PATH
    // Symbols are loaded a tile ahead: memory answers after hundreds of cycles.
    uint ahead[STREAMS][LANES];
    load_tile(streams, max(tile, 1u) - 1u, ahead);
    for (; tile > 0u; write_out_whole(streams)) {
        tile--;
        quads = ahead;
        load_tile(streams, max(tile, 1u) - 1u, ahead);
        encode_tile(false, tile, quads, streams);
    }
#endif
    close(streams);
}

uint scratch_half(uint at) { return scratch[at >> 1] >> 16u * (at & 1u) & 0xffffu; }

// The word of the payload before a segment's stream: the last of the segment before it, or of the head.
uint word_before(EncodeBlock block, uint segment, uint table_size) {
    if (segment == 0u) {
        uint last = table_size / 2u - 1u;
        return tables[TABLE_WORDS * gl_WorkGroupID.x + last / 2u] >> 16u * (last & 1u) & 0xffffu;
    }
    uint space = stream_space(segment_size(block, segment - 1u, segment_log));
    return scratch_half(2u * segment_scratch(block, segment - 1u, segment_log) + space - 1u);
}

// Copies a stream to word `begin` of the payload, which starts at `to`. Each u32 is written with the word in its high half;
// `before` is the word before the stream.
void copy_stream(Stream stream, uint to, uint begin, uint before) {
    uint end = begin + stream.end - stream.p;
    uint from = stream.p - begin;
    for (uint first = begin / 2u; first < end / 2u; first += COPIES_AHEAD * WIDTH) {
        uint words[COPIES_AHEAD];
        [[unroll]] for (uint c = 0u; c < COPIES_AHEAD; c++) {
            uint i = min(first + c * WIDTH + lane(0u), end / 2u - 1u);
            uint at = from + 2u * i;
            words[c] = scratch[(at + 1u) >> 1];
            if ((at & 1u) != 0u) words[c] = words[c] << 16 | scratch[at >> 1] >> 16;
            if (2u * i < begin) words[c] = words[c] & 0xffff0000u | before;
        }
        [[unroll]] for (uint c = 0u; c < COPIES_AHEAD; c++) {
            uint i = first + c * WIDTH + lane(0u);
            if (i < end / 2u) payload[to + i] = words[c];
        }
    }
}

// Words of so many segments in work.
uint words_of(uint base, uint segments) {
    uint words = 0u;
    for (uint i = 0u; i < segments; i++) words += lengths[base + i];
    return words;
}

// Encodes the segments from `base` on, as many as there are groups for, and appends them to the payload as long as that is
// not larger than the block; `place` is its length.
void append_segments(EncodeBlock block, uint base, uint segments, uint table_size, inout uint place) {
    Stream streams[STREAMS];
    encode_segments(block, base, streams);
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        if (lane(0u) == 0u && streams[k].size > 0u) {
            lengths[base + group() * STREAMS + k] = streams[k].end - streams[k].p;
        }
    }
    memoryBarrierBuffer();
    barrier();
    [[unroll]] for (uint k = 0u; k < STREAMS; k++) {
        uint own = group() * STREAMS + k;
        uint begin = place + words_of(base, min(own, segments - base));
        uint end = begin + streams[k].end - streams[k].p;
        if (streams[k].size > 0u && 2u * end <= block.raw_size) {
            copy_stream(streams[k], block.raw, begin, word_before(block, base + own, table_size));
        }
    }
    place += words_of(base, min(GROUPS * STREAMS, segments - base));
}

// Word `i` of a payload's head: the segments' word counts, initial states not counted, and the table.
uint head_word(uint i, uint segments) {
    if (i < segments) return lengths[i] - 64u;
    i -= segments;
    return tables[TABLE_WORDS * gl_WorkGroupID.x + i / 2u] >> 16u * (i & 1u) & 0xffffu;
}

// Writes what the segments have left of the payload.
void complete(EncodeBlock block, uint head, uint segments, uint words) {
    for (uint i = gl_LocalInvocationIndex; i < head / 2u; i += gl_WorkGroupSize.x) {
        payload[block.raw + i] = head_word(2u * i, segments) | head_word(2u * i + 1u, segments) << 16;
    }
    if (gl_LocalInvocationIndex == 0u && (words & 1u) != 0u) {
        payload[block.raw + words / 2u] = word_before(block, segments, 0u);
    }
}

void main() {
    EncodeBlock block = blocks[gl_WorkGroupID.x];
    EncodeInfo info = infos[gl_WorkGroupID.x];
    if (block.coder != CODER) return;
    if (info.kind != KIND_CODED) {
        if (gl_LocalInvocationIndex == 0u) results[gl_WorkGroupID.x] = EncodeResult(info.kind, 0u, 1u, 0u);
        return;
    }
    table_log = info.table_log;
    fill_table(512u * gl_WorkGroupID.x);
    barrier();

    uint segments = (block.raw_size + (1u << segment_log) - 1u) >> segment_log;
    uint head = segments + info.table_size / 2u;
    uint words = head;
    for (uint base = 0u; base < segments; base += GROUPS * STREAMS) {
        append_segments(block, base, segments, info.table_size, words);
    }
    EncodeResult result = EncodeResult(KIND_STORED, 0u, block.raw_size, 0u);
    if (2u * words < block.raw_size) {
        complete(block, head, segments, words);
        result = EncodeResult(KIND_CODED, info.table_log, 2u * words, block.raw);
    }
    if (gl_LocalInvocationIndex == 0u) results[gl_WorkGroupID.x] = result;
}
