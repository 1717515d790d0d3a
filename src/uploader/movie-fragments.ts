import { boxesIn, known, need, words } from './mp4-boxes.ts'
import type { SampleTables } from './sample-tables.ts'
import type { TrackHeader } from './track-header.ts'

export interface Track {
  header: TrackHeader
  samples: SampleTables
}

/** A part of a file that holds samples. */
export interface ContentPart {
  at: number
  bytes: number
}

/** Of a sample: that it can be decoded alone, and that it can't, as FFmpeg says it. */
const [sync, dependent] = [0x0200_0000, 0x0101_0000]
/** Base is the fragment itself; defaults for duration, size and flags. */
const tfhdFlags = 0x02_0038
/** Which fields a `trun` has: for the run, and then for each sample. */
const has = { place: 0x1, first: 0x4, duration: 0x100, size: 0x200, flags: 0x400, offset: 0x800 }
const allFields = Object.values(has).reduce((all, field) => all | field)
const headerBytes = 8

/**
 * The samples of a movie, fragment by fragment. Each has to fill its `mdat` from the first byte to
 * the last, track by track; UnfamiliarMp4 is thrown where it doesn't.
 */
export class MovieFragments {
  readonly content: ContentPart[] = []
  readonly #tracks: Track[]
  readonly #fileBytes: number
  #contentBytes = 0

  constructor(tracks: Track[], fileBytes: number) {
    this.#tracks = tracks
    this.#fileBytes = fileBytes
  }

  /** Takes in the fragment whose `moof` begins at a place in the file; the bytes of its samples. */
  add(moof: Buffer, at: number): number {
    const [mfhd, ...trafs] = boxesIn(moof.subarray(headerBytes), /^mfhd traf( traf)?$/)
    need(known(mfhd).body.equals(words(0, this.content.length + 1)))
    const before = this.#contentBytes
    let lastId = 0
    for (const traf of trafs) {
      const [tfhd, tfdt, ...truns] = boxesIn(traf.body, /^tfhd tfdt( trun)+$/)
      const { id, ...defaults } = readDefaults(known(tfhd).body)
      need(id > lastId)
      lastId = id
      const { header, samples } = known(this.#tracks[id - 1])
      samples.beginFragment(readTime(known(tfdt).body))
      for (const { body } of truns) {
        const place = moof.length + headerBytes + this.#contentBytes - before
        const run = new SampleRun(body, place, defaults)
        need(run.count <= this.#fileBytes)
        this.#contentBytes += run.addTo(samples, this.#contentBytes, header.type === 'video')
      }
    }
    const bytes = this.#contentBytes - before
    this.content.push({ at: at + moof.length + headerBytes, bytes })
    return bytes
  }

  /** No more fragments come. */
  end(): void {
    for (const { samples } of this.#tracks) samples.end()
  }
}

interface Defaults {
  duration: number
  bytes: number
  flags: number
}

function readDefaults(tfhd: Buffer): Defaults & { id: number } {
  need(tfhd.length === 20 && tfhd.readUInt32BE(0) === tfhdFlags)
  const [id, duration] = [tfhd.readUInt32BE(4), tfhd.readUInt32BE(8)]
  return { id, duration, bytes: tfhd.readUInt32BE(12), flags: tfhd.readUInt32BE(16) }
}

/** When a fragment of a track begins, in ticks: of 64 bits, of which it needs half. */
function readTime(tfdt: Buffer): number {
  need(tfdt.length === 12 && tfdt.readUInt32BE(0) === 0x0100_0000 && tfdt.readUInt32BE(4) === 0)
  return tfdt.readUInt32BE(8)
}

/** The samples of one `trun`. */
class SampleRun {
  readonly #body: Buffer
  readonly #fields: number
  readonly count: number
  readonly #defaults: Defaults
  #at = 12

  /** `place` is where its content has to begin, counted from the `moof`. */
  constructor(body: Buffer, place: number, defaults: Defaults) {
    need(body.length >= this.#at)
    this.#body = body
    this.#fields = body.readUInt32BE(0)
    this.count = body.readUInt32BE(4)
    this.#defaults = defaults
    // A version other than 0 would be among the unknown fields.
    need(this.#has('place') && (this.#fields & ~allFields) === 0)
    need(!(this.#has('first') && this.#has('flags')))
    need(body.readUInt32BE(8) === place)
    const each = (['duration', 'size', 'flags', 'offset'] as const).filter((field) =>
      this.#has(field),
    )
    need(body.length === 12 + (this.#has('first') ? 4 : 0) + this.count * each.length * 4)
  }

  /** Adds the samples, whose content begins at `position` of all; how many bytes it has. */
  addTo(samples: SampleTables, position: number, isVideo: boolean): number {
    const before = samples.bytes
    const first = this.#has('first') ? this.#next() : undefined
    samples.beginChunk(position, this.count)
    for (let n = 0; n < this.count; n += 1) {
      const duration = this.#field('duration', this.#defaults.duration)
      const bytes = this.#field('size', this.#defaults.bytes)
      const usual = this.#field('flags', this.#defaults.flags)
      const flags = n === 0 && first !== undefined ? first : usual
      const offset = this.#field('offset', 0)
      need(flags === sync || (flags === dependent && isVideo))
      samples.add({ bytes, duration, offset, isSync: flags === sync })
    }
    return samples.bytes - before
  }

  #has(field: keyof typeof has): boolean {
    return (this.#fields & has[field]) !== 0
  }

  #field(field: keyof typeof has, otherwise: number): number {
    return this.#has(field) ? this.#next() : otherwise
  }

  #next(): number {
    this.#at += 4
    return this.#body.readUInt32BE(this.#at - 4)
  }
}
