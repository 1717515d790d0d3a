import { fstatSync, readSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import {
  boxesIn,
  boxHeader,
  isFollowed,
  known,
  need,
  UnfamiliarMp4,
  words,
  type BoxContent,
} from './boxes.ts'
import { readFragment, type TrackRun } from './fragment.ts'
import { Samples } from './samples.ts'
import { readTrackHeader, type TrackHeader } from './track-header.ts'

export interface Track {
  header: TrackHeader
  samples: Samples
}

/** A fragmented MP4 or MOV as our recorder writes it: its tracks, and where their content lies. */
export interface FragmentedMp4 {
  mvhd: Buffer
  /** Title, comment and the like, as a whole box of MP4; may be empty. */
  udta: Buffer
  /** Those that have samples; the picture first. */
  tracks: Track[]
}

/** A fragment of a file. */
export interface Fragment {
  /** Where its content begins in the file. */
  contentAt: number
  runs: TrackRun[]
  /** The wall clock in milliseconds that it carries; see `write_prft` in FFmpeg's documentation. */
  referenceMs?: number
}

/** What a window into the file shows at once: most often a fragment's index, and the next header. */
const windowBytes = 64 * 1024
/** Where nothing but the indexes is read, a smaller one costs less. */
export const indexWindowBytes = 4096
/** The index of a fragment, and a file's header, are some kB. */
const mostIndexBytes = 16 * 1024 * 1024
/** From the epoch of NTP, 1900, to that of Unix. */
const ntpEpochSeconds = 2_208_988_800

/**
 * Reads the fragmented MP4 that our recorder writes, and answers `undefined` for anything else:
 * whatever it doesn't know for certain, or is damaged. Of a file that was cut off in its last
 * fragment it reads the samples that are there. Sizes in the file are believed only as far as the
 * file goes.
 */
export async function readFragmentedMp4(file: FileHandle): Promise<FragmentedMp4 | undefined> {
  return ifFamiliar(async () => {
    const { tracks, ...movie } = await readFilledTracks(file)
    need(tracks.some(({ header }) => header.type === 'video'))
    tracks.sort((a, b) => Number(a.header.type === 'audio') - Number(b.header.type === 'audio'))
    return { ...movie, tracks }
  })
}

/** Reads a fragmented MP4 of AAC alone, as FFmpeg writes it; `undefined` for anything else. */
export async function readFragmentedSound(file: FileHandle): Promise<Track | undefined> {
  return ifFamiliar(async () => {
    const { tracks } = await readFilledTracks(file)
    const [track, ...others] = tracks
    need(track?.header.codec === 'aac' && others.length === 0)
    return track
  })
}

async function ifFamiliar<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof UnfamiliarMp4) return undefined
    throw error
  }
}

/** The tracks of a file that have samples. */
async function readFilledTracks(file: FileHandle): Promise<FragmentedMp4> {
  const reader = new FragmentReader(file)
  const { mvhd, udta, headers } = await reader.header()
  const tracks = headers.map((header) => ({ header, samples: new Samples() }))
  for (let fragment = await reader.next(); fragment; fragment = await reader.next())
    addFragment(tracks, fragment, reader.fileBytes)
  need(await reader.isAtEnd())
  return { mvhd, udta, tracks: tracks.filter(({ samples }) => samples.length > 0) }
}

/** Adds the samples of a fragment, as far as the file goes. */
function addFragment(tracks: Track[], fragment: Fragment, fileBytes: number): void {
  let at = fragment.contentAt
  for (const { track, time, durations, sizes, offsets, syncs } of fragment.runs) {
    const { samples, header } = known(tracks[track - 1])
    if (sizes.length > 0) samples.beginChunk(at)
    let sampleTime = time
    for (const [n, bytes] of sizes.entries()) {
      at += bytes
      if (at > fileBytes) break
      const [duration = 0, offset = 0] = [durations[n], offsets[n]]
      const isSync = header.type === 'audio' || syncs[n] === true
      samples.add({ time: sampleTime, duration, bytes, offset, isSync })
      sampleTime += duration
    }
    if (samples.chunks.at(-1)?.samples === 0) samples.chunks.pop()
  }
}

/** How a file is read. */
interface Reading {
  bytesAtOnce?: number
  /** Whether it was written a moment ago: then a read waits for no disk, and needs no other thread. */
  isInMemory?: boolean
}

/** Reads a fragmented file from its beginning on, also while it grows. */
export class FragmentReader {
  readonly #file: FileHandle
  readonly #window: Window
  #at = 0
  /** Where that of the last fragment begins. */
  #contentAt = 0

  constructor(file: FileHandle, reading: Reading = {}) {
    this.#file = file
    this.#window = new Window(file, reading)
  }

  /** As of the last look at the file. */
  get fileBytes(): number {
    return this.#window.bytes
  }

  /** What comes before the first fragment; before all else. UnfamiliarMp4 if it isn't there whole. */
  async header(): Promise<Omit<FragmentedMp4, 'tracks'> & { headers: TrackHeader[] }> {
    await this.grow()
    const ftyp = await this.#window.index(0, 'ftyp')
    need(/^(iso[56]|qt {2})/.test(ftyp.toString('latin1', 8, 12)))
    const moov = Buffer.from(await this.#window.index(ftyp.length, 'moov'))
    this.#at = ftyp.length + moov.length
    return readHeader(moov)
  }

  /**
   * The next fragment; undefined where there is none (yet), or not even its index. Of the last one
   * some of the content may be missing.
   */
  async next(): Promise<Fragment | undefined> {
    const window = this.#window
    let at = this.#at
    let referenceMs: number | undefined
    if (at + 8 > window.bytes) return undefined
    let box = await window.header(at)
    if (box.type === 'prft' && at + box.bytes + 8 <= window.bytes) {
      referenceMs = readReference(await window.index(at, 'prft'))
      at += box.bytes
      box = await window.header(at)
    }
    // Its `mdat` has a header of eight bytes.
    if (box.type !== 'moof' || at + box.bytes + 8 > window.bytes) return undefined
    const runs = readFragment(await window.index(at, 'moof'))
    at += box.bytes
    const mdat = await window.header(at)
    const bytes = runs.reduce((sum, run) => sum + run.sizes.reduce((a, b) => a + b, 0), 0)
    need(mdat.type === 'mdat' && mdat.bytes === bytes + 8)
    this.#at = at + mdat.bytes
    this.#contentAt = at + 8
    return { contentAt: at + 8, runs, ...(referenceMs === undefined ? {} : { referenceMs }) }
  }

  /** Sees what has been written since; answers whether it is more. */
  async grow(): Promise<boolean> {
    return this.#window.grow()
  }

  /**
   * Whether nothing comes behind the last fragment but an index of fragments, or a piece of one that
   * was cut off, or of which the last fragment itself was: not one that damage has made unreadable.
   */
  async isAtEnd(): Promise<boolean> {
    const fileBytes = this.#window.bytes
    if (this.#at > fileBytes) return this.#isCutOff('mdat', this.#contentAt)
    if (this.#at + 8 > fileBytes) return true
    const { type, bytes } = await this.#window.header(this.#at)
    if (type === 'mfra') return this.#at + bytes >= fileBytes
    // A `prft` is followed by its own fragment.
    const ownBytes = type === 'prft' && bytes < 64 ? bytes + 8 : 8
    return (type === 'prft' || type === 'moof') && this.#isCutOff('moof', this.#at + ownBytes)
  }

  async #isCutOff(type: string, from: number): Promise<boolean> {
    const rest = this.#file.createReadStream({ start: from, autoClose: false })
    return !(await isFollowed(type, rest as AsyncIterable<Buffer>))
  }
}

/** A `prft` box: the wall clock of its fragment's first sample, as NTP counts it. */
function readReference(prft: Buffer): number {
  need(prft.length >= 28)
  return (prft.readUInt32BE(16) - ntpEpochSeconds) * 1000 + (prft.readUInt32BE(20) * 1000) / 2 ** 32
}

function readHeader(moov: Buffer): Omit<FragmentedMp4, 'tracks'> & { headers: TrackHeader[] } {
  const [mvhd, ...others] = boxesIn(moov.subarray(8), /^mvhd trak( trak)? mvex( udta)?$/)
  need(mvhd?.body.length === 100 && mvhd.body.readUInt32BE(0) === 0)
  const headers = others.filter(({ type }) => type === 'trak').map(readTrackHeader)
  need(headers.every(({ id }, index) => id === index + 1))
  const types = headers.map(({ type }) => type).join(' ')
  need(/^(video|audio|video audio|audio video)$/.test(types))
  const [mvex, udta] = others.slice(headers.length)
  const defaults = boxesIn(known(mvex).body, /^trex( trex)?$/)
  need(defaults.length === headers.length)
  for (const [index, { body }] of defaults.entries())
    need(body.equals(words(0, index + 1, 1, 0, 0, 0)))
  return { mvhd: mvhd.whole, udta: udta ? plainTexts(udta) : Buffer.alloc(0), headers }
}

/** Texts alone: what else can be in there might be a picture, or chapters. Nothing of those of MOV. */
function plainTexts(udta: BoxContent): Buffer {
  const boxes = boxesIn(udta.body, /^(meta|(\xa9\w{3} ?)+)$/)
  const [meta] = boxes
  if (meta?.type !== 'meta') return Buffer.alloc(0)
  const [, ilst] = boxesIn(known(meta).body.subarray(4), /^hdlr ilst$/)
  for (const { body } of boxesIn(known(ilst).body, /^\xa9\w{3}( \xa9\w{3})*$/)) {
    const [data] = boxesIn(body, /^data$/)
    need(known(data).body.subarray(0, 8).equals(words(1, 0)))
  }
  return udta.whole
}

/** A file of which a part is in memory, for small reads that go forward. */
class Window {
  /** How long the file is, as far as is known. */
  bytes = 0
  readonly #file: FileHandle
  readonly #isInMemory: boolean
  readonly #fixed: Buffer<ArrayBuffer>
  #content: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(file: FileHandle, { bytesAtOnce = windowBytes, isInMemory = false }: Reading) {
    this.#file = file
    this.#isInMemory = isInMemory
    this.#fixed = Buffer.allocUnsafe(bytesAtOnce)
  }

  /** Looks how long the file is now; answers whether it has grown. */
  async grow(): Promise<boolean> {
    const { size } = this.#isInMemory ? fstatSync(this.#file.fd) : await this.#file.stat()
    const hasGrown = size > this.bytes
    this.bytes = size
    return hasGrown
  }

  /** The header of the box at a place, of which more need not be in the file. */
  async header(at: number): Promise<{ type: string; bytes: number }> {
    return boxHeader(await this.#read(at, 8))
  }

  /** The whole box at a place, of a type; it is there until the next read. */
  async index(at: number, wanted: string): Promise<Buffer> {
    const { type, bytes } = await this.header(at)
    need(type === wanted && bytes <= mostIndexBytes)
    return this.#read(at, bytes)
  }

  async #read(at: number, bytes: number): Promise<Buffer> {
    need(at + bytes <= this.bytes)
    if (at < this.#at || at + bytes > this.#at + this.#content.length) {
      const buffer = bytes <= this.#fixed.length ? this.#fixed : Buffer.allocUnsafe(bytes)
      const bytesRead = await this.#fill(buffer, at)
      need(bytesRead >= bytes)
      this.#content = buffer.subarray(0, bytesRead)
      this.#at = at
    }
    return this.#content.subarray(at - this.#at, at - this.#at + bytes)
  }
  /** Answers how many bytes there were. */
  async #fill(buffer: Buffer, at: number): Promise<number> {
    if (this.#isInMemory) return readSync(this.#file.fd, buffer, 0, buffer.length, at)
    return (await this.#file.read(buffer, 0, buffer.length, at)).bytesRead
  }
}
