// The payload of a block: word counts, table, streams. The includer is encoding.glsl. Places in the payload are in words.

// Words of the segments' streams.
shared uint lengths[MOST_SEGMENTS];
// u32 of a stream that an invocation copies at once: memory answers after hundreds of cycles.
#define COPIES 4u

// Half `i` (16 bits) of the head, of which the table ends before `end`.
uint head_half(uint i, uint segments, uint end) {
    if (i < segments) return lengths[i] - INITIAL_WORDS;
    if (i >= end) return 0u;
    i -= segments;
    return tables[TABLE_WORDS * gl_WorkGroupID.x + i / 2u] >> 16u * (i & 1u) & 0xffffu;
}

uint head_words(uint segments, uint table_size) {
    return (segments + table_size / 2u + 2u / WORDS_PER_U32 - 1u) / (2u / WORDS_PER_U32);
}

#if WORD_BITS == 32

// Copies a stream to word `begin` of the payload, which starts at `to`.
void copy_stream(Stream stream, uint to, uint begin) {
    uint count = stream.end - stream.p;
    for (uint first = lane(0u); first < count; first += COPIES * WIDTH) {
        uint words[COPIES];
        [[unroll]] for (uint c = 0u; c < COPIES; c++) {
            words[c] = scratch[stream.p + min(first + c * WIDTH, count - 1u)];
        }
        [[unroll]] for (uint c = 0u; c < COPIES; c++) {
            if (first + c * WIDTH < count) payload[to + begin + first + c * WIDTH] = words[c];
        }
    }
}

#else

// The word of the payload before a segment: the last of the segment before it, or of the head.
uint word_before(EncodeBlock block, uint segment, uint segments, uint table_size) {
    uint head = head_words(segments, table_size);
    if (segment == 0u) return head_half(head - 1u, segments, head);
    uint space = stream_space(segment_size(block, segment - 1u, segment_log));
    return get_word(2u * (segment_scratch(block, segment - 1u, segment_log) + space) - 1u);
}

// Copies a stream to word `begin` of the payload, which starts at `to`. Each u32 is written with the word in its high half;
// `before` is the word before the stream.
void copy_stream(Stream stream, uint to, uint begin, uint before) {
    uint end = (begin + stream.end - stream.p) / 2u;
    for (uint first = begin / 2u + lane(0u); first < end; first += COPIES * WIDTH) {
        uint words[COPIES];
        [[unroll]] for (uint c = 0u; c < COPIES; c++) {
            uint at = 2u * min(first + c * WIDTH, end - 1u);
            uint low = at < begin ? before : get_word(stream.p + at - begin);
            words[c] = low | get_word(stream.p + at + 1u - begin) << 16;
        }
        [[unroll]] for (uint c = 0u; c < COPIES; c++) {
            if (first + c * WIDTH < end) payload[to + first + c * WIDTH] = words[c];
        }
    }
}

#endif

// Words of so many streams.
uint words_of(uint first, uint count) {
    uint words = 0u;
    for (uint i = 0u; i < count; i++) words += lengths[first + i];
    return words;
}

// Encodes the segments from `base` on, as many as there are groups for, and appends them to the payload unless that is then
// larger than the block; `words` is its length.
void append_segments(EncodeBlock block, uint base, uint segments, uint table_size, inout uint words) {
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
        uint begin = words + words_of(base, min(own, segments - base));
        uint end = begin + streams[k].end - streams[k].p;
        if (streams[k].size > 0u && end * (WORD_BITS / 8u) <= block.raw_size) {
#if WORD_BITS == 32
            copy_stream(streams[k], block.raw, begin);
#else
            copy_stream(streams[k], block.raw, begin, word_before(block, base + own, segments, table_size));
#endif
        }
    }
    words += words_of(base, min(GROUPS * STREAMS, segments - base));
}

// Writes what the segments have left of the payload.
void complete(EncodeBlock block, uint head, uint segments, uint table_size, uint words) {
    uint end = segments + table_size / 2u;
    for (uint i = gl_LocalInvocationIndex; i < head / WORDS_PER_U32; i += gl_WorkGroupSize.x) {
        payload[block.raw + i] = head_half(2u * i, segments, end) | head_half(2u * i + 1u, segments, end) << 16;
    }
#if WORD_BITS == 16
    if (gl_LocalInvocationIndex == 0u && words % 2u == 1u) {
        payload[block.raw + words / 2u] = word_before(block, segments, segments, table_size);
    }
#endif
}
