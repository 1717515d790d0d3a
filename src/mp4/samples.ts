import { need } from './boxes.ts'

/** More than a day of video or sound holds, at 120 frames a second or 96 kHz. */
const mostSamples = 16_000_000
/** FFmpeg takes larger ones for damage. */
export const durationLimit = 2 ** 31
const offsetLimit = 2 ** 28

/** A typed array that grows. */
class Column<A extends Float64Array | Uint32Array | Uint8Array> {
  length = 0
  #content: A

  constructor(content: A) {
    this.#content = content
  }

  push(number: number): void {
    if (this.length === this.#content.length) {
      const grown = new (this.#content.constructor as new (length: number) => A)(2 * this.length)
      grown.set(this.#content)
      this.#content = grown
    }
    this.#content[this.length] = number
    this.length += 1
  }

  get values(): A {
    return this.#content.subarray(0, this.length) as A
  }
}

/** Samples that lie together in a file. */
export interface Chunk {
  /** Where they begin in the file. */
  at: number
  bytes: number
  samples: number
}

/** The samples of one track in the order of their decoding: some bytes each, however many there are. */
export class Samples {
  /** When each is to be decoded, in ticks. */
  readonly #times = new Column(new Float64Array(512))
  readonly #sizes = new Column(new Uint32Array(512))
  /** From its decoding to its presentation, in ticks. */
  readonly #offsets = new Column(new Uint32Array(512))
  readonly #syncs = new Column(new Uint8Array(512))
  readonly chunks: Chunk[] = []
  bytes = 0
  lastTime = -Infinity
  /** How long the last one lasts, as far as the file says. */
  lastDuration = 0

  get length(): number {
    return this.#times.length
  }

  get times(): Float64Array {
    return this.#times.values
  }

  get sizes(): Uint32Array {
    return this.#sizes.values
  }

  get offsets(): Uint32Array {
    return this.#offsets.values
  }

  /** 1 where a sample can be decoded alone. */
  get syncs(): Uint8Array {
    return this.#syncs.values
  }

  beginChunk(at: number): void {
    this.chunks.push({ at, bytes: 0, samples: 0 })
  }

  /** Adds one to the last chunk; UnfamiliarMp4 where it doesn't follow the one before. */
  add(sample: {
    time: number
    duration: number
    bytes: number
    offset: number
    isSync: boolean
  }): void {
    const { time, duration, bytes, offset, isSync } = sample
    const chunk = this.chunks.at(-1)
    need(chunk !== undefined && bytes > 0 && offset < offsetLimit && duration < durationLimit)
    need(this.length < mostSamples && time > this.lastTime)
    need(this.length === 0 || time - this.lastTime < durationLimit)
    this.#times.push(time)
    this.#sizes.push(bytes)
    this.#offsets.push(offset)
    this.#syncs.push(isSync ? 1 : 0)
    this.lastTime = time
    this.lastDuration = duration
    this.bytes += bytes
    chunk.bytes += bytes
    chunk.samples += 1
  }

  /** Those from one on up to another, where they lie. */
  slice(from: number, end: number): Samples {
    const part = new Samples()
    const [times, sizes, offsets, syncs] = [this.times, this.sizes, this.offsets, this.syncs]
    let n = 0
    for (const chunk of this.chunks) {
      let at = chunk.at
      for (const last = n + chunk.samples; n < last; n += 1) {
        const bytes = sizes[n] ?? 0
        if (n >= from && n < end) {
          if (n === from || at === chunk.at) part.beginChunk(at)
          const [time = 0, next, offset = 0] = [times[n], times[n + 1], offsets[n]]
          const duration = next === undefined ? this.lastDuration : next - time
          part.add({ time, duration, bytes, offset, isSync: syncs[n] === 1 })
        }
        at += bytes
      }
    }
    return part
  }
}
