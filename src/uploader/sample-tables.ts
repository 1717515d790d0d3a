import { need } from './mp4-boxes.ts'

/** More than any segment of ours holds: half a day of video and sound. */
const mostSamples = 4_000_000
/** FFmpeg takes larger ones for damage. */
const durationLimit = 2 ** 31
const offsetLimit = 2 ** 28

export interface Sample {
  bytes: number
  /** Until the next one of the track is to be decoded, in its ticks. */
  duration: number
  /** From its decoding to its presentation. */
  offset: number
  isSync: boolean
}

/** Samples that lie together in a file. */
interface Chunk {
  /** In the content of the file, without what lies between its parts. */
  position: number
  samples: number
}

/** Four-byte numbers in a row, in the form in which MP4's tables hold them. */
export class WordList {
  length = 0
  #content = Buffer.alloc(4096)

  push(number: number): void {
    if (this.length * 4 === this.#content.length)
      this.#content = Buffer.concat([this.#content, Buffer.alloc(this.#content.length)])
    this.#content.writeUInt32BE(number, this.length * 4)
    this.length += 1
  }

  get content(): Buffer {
    return this.#content.subarray(0, this.length * 4)
  }
}

/** Numbers in a row as pairs: how many times, which number. */
class RunList {
  readonly #pairs = new WordList()
  #number = 0
  #times = 0

  push(number: number): void {
    if (number !== this.#number) this.#close()
    this.#number = number
    this.#times += 1
  }

  /** The pairs; of everything that was pushed, so this comes last. */
  close(): WordList {
    this.#close()
    return this.#pairs
  }

  #close(): void {
    if (this.#times === 0) return
    this.#pairs.push(this.#times)
    this.#pairs.push(this.#number)
    this.#times = 0
  }
}

/**
 * The samples of one track as the tables of a plain MP4: a few bytes each. They are added as they
 * come; UnfamiliarMp4 is thrown where they don't follow one another as a camera's do.
 */
export class SampleTables {
  readonly sizes = new WordList()
  readonly durations = new RunList()
  readonly offsets = new RunList()
  /** The numbers of the sync samples; the first has 1. */
  readonly syncs = new WordList()
  readonly chunks: Chunk[] = []
  bytes = 0
  hasOffsets = false
  /** When the first is to be decoded, in ticks. */
  firstTime = 0
  /** From there to the first presentation. */
  firstOffset = Infinity
  /** Of all. */
  duration = 0
  /** From the first decoding to the end of what is presented last. */
  lastEnd = 0
  #lastDuration: number | undefined
  #lastOffset = 0

  /** A fragment begins, at a time in ticks: the last sample before it lasts until then. */
  beginFragment(time: number): void {
    if (this.#lastDuration === undefined) this.firstTime = time
    else this.#lastDuration = time - this.firstTime - this.duration
  }

  beginChunk(position: number, samples: number): void {
    need(samples > 0 && this.sizes.length + samples <= mostSamples)
    this.chunks.push({ position, samples })
  }

  add(sample: Sample): void {
    const { bytes, duration, offset, isSync } = sample
    need(bytes > 0 && offset < offsetLimit)
    this.#countLast()
    this.#lastDuration = duration
    this.#lastOffset = offset
    this.sizes.push(bytes)
    this.offsets.push(offset)
    if (isSync) this.syncs.push(this.sizes.length)
    this.bytes += bytes
    this.hasOffsets ||= offset > 0
    this.firstOffset = Math.min(this.firstOffset, this.duration + offset)
  }

  /** No more samples come. */
  end(): void {
    need(this.#lastDuration !== undefined)
    this.#countLast()
    need(this.duration < 2 ** 32)
  }

  #countLast(): void {
    const duration = this.#lastDuration
    if (duration === undefined) return
    need(duration > 0 && duration < durationLimit)
    this.durations.push(duration)
    this.duration += duration
    this.lastEnd = Math.max(this.lastEnd, this.duration + this.#lastOffset)
  }
}
