import type { FileHandle } from 'node:fs/promises'
import type { Media } from './media-probe.ts'
import {
  boxesIn,
  boxHeader,
  known,
  need,
  UnfamiliarMp4,
  words,
  type BoxContent,
} from './mp4-boxes.ts'
import { MovieFragments, type ContentPart, type Track } from './movie-fragments.ts'
import { SampleTables } from './sample-tables.ts'
import { readTrackHeader } from './track-header.ts'

/** A fragmented MP4 as our recorder writes it: its tracks, and where their content lies. */
export interface FragmentedMp4 {
  mvhd: Buffer
  /** Title, comment and the like, as a whole box; may be empty. */
  udta: Buffer
  tracks: Track[]
  /** Those parts of the file that hold samples, in their order. */
  content: ContentPart[]
}

/** When a track is presented, in seconds. */
export interface Presentation {
  start: number
  end: number
}

/** What a window into the file shows at once: most often a fragment's index, and the next header. */
const windowBytes = 64 * 1024
/** The index of a fragment, and a file's header, are some kB. */
const mostIndexBytes = 16 * 1024 * 1024
/** Times of 32 bits, in the milliseconds in which FFmpeg gives a movie's. */
const longestSeconds = 2 ** 32 / 1000 - 1

/**
 * Reads the fragmented MP4 that our recorder writes, and answers `undefined` for anything else:
 * whatever it doesn't know for certain, or is damaged, or cut off. Sizes in the file are believed
 * only as far as the file goes.
 */
export async function readFragmentedMp4(file: FileHandle): Promise<FragmentedMp4 | undefined> {
  try {
    return await readMovie(new Window(file, (await file.stat()).size))
  } catch (error) {
    if (error instanceof UnfamiliarMp4) return undefined
    throw error
  }
}

/** When a track begins and ends. */
export function presentationOf({ header, samples }: Track): Presentation {
  const start = (samples.firstTime + samples.firstOffset) / header.ticksPerSecond
  return { start, end: start + samples.duration / header.ticksPerSecond }
}

/** What ffprobe would say of it. */
export function mediaOf({ tracks }: FragmentedMp4): Media {
  const times = tracks.map(presentationOf)
  const start = Math.min(...times.map((time) => time.start))
  const end = Math.max(...times.map((time) => time.end))
  return {
    durationSeconds: Number((end - start).toFixed(6)),
    streams: tracks.map(({ header, samples }) => {
      const { type, codec, tag } = header
      return { type, codec, tag, packets: samples.sizes.length }
    }),
  }
}

async function readMovie(file: Window): Promise<FragmentedMp4> {
  const ftyp = await file.index(0, 'ftyp')
  need(/^iso[56]/.test(ftyp.toString('latin1', 8, 12)))
  const moov = Buffer.from(await file.index(ftyp.length, 'moov'))
  const { mvhd, udta, tracks } = readHeader(moov)
  const fragments = new MovieFragments(tracks, file.bytes)
  let at = ftyp.length + moov.length
  while (at < file.bytes && (await file.header(at)).type === 'moof') {
    const moof = await file.index(at, 'moof')
    const mdatBytes = fragments.add(moof, at)
    at += moof.length
    const mdat = await file.header(at)
    need(mdat.type === 'mdat' && mdat.bytes === mdatBytes + 8)
    at += mdat.bytes
  }
  if (at < file.bytes) at += (await file.index(at, 'mfra')).length
  need(at === file.bytes)
  fragments.end()
  for (const { header, samples } of tracks)
    need((samples.firstTime + samples.lastEnd) / header.ticksPerSecond < longestSeconds)
  return { mvhd, udta, tracks, content: fragments.content }
}

function readHeader(moov: Buffer): Omit<FragmentedMp4, 'content'> {
  const [mvhd, ...others] = boxesIn(moov.subarray(8), /^mvhd trak( trak)? mvex( udta)?$/)
  need(mvhd?.body.length === 100 && mvhd.body.readUInt32BE(0) === 0)
  need(mvhd.body.readUInt32BE(12) === 1000)
  const headers = others.filter(({ type }) => type === 'trak').map(readTrackHeader)
  need(headers.every(({ id }, index) => id === index + 1))
  const types = headers.map(({ type }) => type).join(' ')
  need(/^(video|video audio|audio video)$/.test(types))
  const [mvex, udta] = others.slice(headers.length)
  const defaults = boxesIn(known(mvex).body, /^trex( trex)?$/)
  need(defaults.length === headers.length)
  for (const [index, { body }] of defaults.entries())
    need(body.equals(words(0, index + 1, 1, 0, 0, 0)))
  if (udta) needPlainTexts(udta)
  const tracks = headers.map((header) => ({ header, samples: new SampleTables() }))
  return { mvhd: mvhd.whole, udta: udta?.whole ?? Buffer.alloc(0), tracks }
}

/** Texts alone: what else can be in there might be a picture, or chapters. */
function needPlainTexts(udta: BoxContent): void {
  const [meta] = boxesIn(udta.body, /^meta$/)
  const [, ilst] = boxesIn(known(meta).body.subarray(4), /^hdlr ilst$/)
  for (const { body } of boxesIn(known(ilst).body, /^\xa9\w{3}( \xa9\w{3})*$/)) {
    const [data] = boxesIn(body, /^data$/)
    need(known(data).body.subarray(0, 8).equals(words(1, 0)))
  }
}

/** A file of which a part is in memory, for small reads that go forward. */
class Window {
  readonly bytes: number
  readonly #file: FileHandle
  readonly #fixed = Buffer.allocUnsafe(windowBytes)
  #content = Buffer.alloc(0)
  #at = 0

  constructor(file: FileHandle, bytes: number) {
    this.#file = file
    this.bytes = bytes
  }

  /** The header of the box at a place; the whole of it is in the file. */
  async header(at: number): Promise<{ type: string; bytes: number }> {
    const header = boxHeader(await this.#read(at, 8))
    need(at + header.bytes <= this.bytes)
    return header
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
      const buffer = bytes <= windowBytes ? this.#fixed : Buffer.allocUnsafe(bytes)
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, at)
      need(bytesRead >= bytes)
      this.#content = buffer.subarray(0, bytesRead)
      this.#at = at
    }
    return this.#content.subarray(at - this.#at, at - this.#at + bytes)
  }
}
