import { writeFile, type FileHandle } from 'node:fs/promises'
import { SourceChanged, Summing, type Proof, type Sums } from './fingerprint.ts'
import { presentationOf, type FragmentedMp4 } from './fragmented-mp4.ts'
import { makeBox, words } from './mp4-boxes.ts'
import type { ContentPart, Track } from './movie-fragments.ts'
import { giveReadBuffer, takeReadBuffer } from './read-buffers.ts'
import { WordList, type SampleTables } from './sample-tables.ts'

/** Beyond it, places and lengths take 64 bits; what is left of 4 GB holds any index. */
const most32BitBytes = 2 ** 32 - 2 ** 28
/** What FFmpeg gives a movie's times in. */
const movieTicksPerSecond = 1000

/**
 * Writes a fragmented MP4 anew as a plain one, its index in front: the same samples at the same
 * times, in the order in which they lie in the source. Returns the sums of what it has written.
 * SourceChanged if the source is cut meanwhile.
 */
export async function writePlainMp4(
  source: FileHandle,
  movie: FragmentedMp4,
  { path, proof }: { path: string; proof: Proof },
  signal: AbortSignal,
): Promise<Sums> {
  const head = headOf(movie)
  const summing = new Summing(head.length + bytesOf(movie.content), proof)
  async function* pieces(): AsyncGenerator<Buffer> {
    summing.add(head)
    yield head
    for await (const piece of contentOf(source, movie.content, signal)) {
      summing.add(piece)
      yield piece
    }
  }
  await writeFile(path, pieces(), { flag: 'wx' })
  return summing.finish()
}

function bytesOf(parts: ContentPart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Everything before the content. */
function headOf(movie: FragmentedMp4): Buffer {
  const contentBytes = bytesOf(movie.content)
  const isLarge = contentBytes > most32BitBytes
  const brands = movie.tracks.some(({ header }) => header.tag === 'avc1')
    ? 'isomiso2avc1mp41'
    : 'isomiso2mp41'
  const ftyp = makeBox('ftyp', Buffer.from('isom'), words(0x200), Buffer.from(brands))
  const mdat = mdatHeader(contentBytes, isLarge)
  // Its length doesn't depend on the places in it.
  const moovBytes = makeMoov(movie, 0, isLarge).length
  const moov = makeMoov(movie, ftyp.length + moovBytes + mdat.length, isLarge)
  return Buffer.concat([ftyp, moov, mdat])
}

function mdatHeader(contentBytes: number, isLarge: boolean): Buffer {
  const name = Buffer.from('mdat')
  if (!isLarge) return Buffer.concat([words(contentBytes + 8), name])
  const bytes = contentBytes + 16
  return Buffer.concat([words(1), name, words(Math.floor(bytes / 2 ** 32), bytes % 2 ** 32)])
}

/** Those parts of a file that hold samples, in pieces; each is there until the next is asked for. */
async function* contentOf(
  source: FileHandle,
  parts: ContentPart[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const last = parts.at(-1)
  const end = last ? last.at + last.bytes : 0
  const buffer = takeReadBuffer()
  let next = 0
  for (let at = 0; at < end;) {
    signal.throwIfAborted()
    const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new SourceChanged('the file shrank while it was read')
    const piece = buffer.subarray(0, bytesRead)
    let kept = 0
    for (let part = parts[next]; part && part.at < at + piece.length; part = parts[next]) {
      const from = Math.max(part.at - at, 0)
      // What is kept moves to the front, over what isn't.
      kept += piece.copy(piece, kept, from, Math.min(part.at + part.bytes - at, piece.length))
      if (part.at + part.bytes > at + piece.length) break
      next += 1
    }
    at += piece.length
    yield piece.subarray(0, kept)
  }
  giveReadBuffer(buffer)
}

function makeMoov(
  { mvhd, udta, tracks }: FragmentedMp4,
  contentAt: number,
  isLarge: boolean,
): Buffer {
  const times = tracks.map(presentationOf)
  const start = Math.min(...times.map((time) => time.start))
  const traks = tracks.map((track, index) => {
    const delay = Math.round(((times[index]?.start ?? start) - start) * movieTicksPerSecond)
    return makeTrak(track, { delay, contentAt, isLarge })
  })
  const duration = Math.max(...traks.map((trak) => trak.duration))
  const header = patched(mvhd, { 24: duration, 104: tracks.length + 1 })
  return makeBox('moov', header, ...traks.map(({ box }) => box), udta)
}

interface Place {
  /** Of the track's presentation, in the movie's ticks. */
  delay: number
  contentAt: number
  isLarge: boolean
}

function makeTrak(track: Track, place: Place): { box: Buffer; duration: number } {
  const { samples, header } = track
  const { ticksPerSecond, tkhd, mdhd, hdlr, mediaHeader, dinf, stsd } = header
  const shownTicks = samples.lastEnd - samples.firstOffset
  const shown = Math.ceil((shownTicks * movieTicksPerSecond) / ticksPerSecond)
  const duration = place.delay + shown
  // Presentation begins with the first frame that is shown, not with the first that is decoded.
  const edits = [[shown, samples.firstOffset, 0x10000]]
  if (place.delay > 0) edits.unshift([place.delay, 0xffff_ffff, 0x10000])
  const elst = makeBox('elst', words(0, edits.length, ...edits.flat()))
  const isEdited = place.delay > 0 || samples.firstOffset > 0
  const stbl = makeBox('stbl', stsd, ...sampleBoxes(track, place))
  const minf = makeBox('minf', mediaHeader, dinf, stbl)
  const mdia = makeBox('mdia', patched(mdhd, { 24: samples.duration }), hdlr, minf)
  const edts = isEdited ? makeBox('edts', elst) : Buffer.alloc(0)
  return { box: makeBox('trak', patched(tkhd, { 28: duration }), edts, mdia), duration }
}

function sampleBoxes({ header, samples }: Track, place: Place): Buffer[] {
  const count = samples.sizes.length
  const isAllSync = header.type === 'audio' || samples.syncs.length === count
  const [durations, offsets] = [samples.durations.close(), samples.offsets.close()]
  return [
    makeTable('stts', durations.length / 2, durations),
    ...(samples.hasOffsets ? [makeTable('ctts', offsets.length / 2, offsets)] : []),
    ...(isAllSync ? [] : [makeTable('stss', samples.syncs.length, samples.syncs)]),
    chunkLengths(samples),
    makeBox('stsz', words(0, 0, count), samples.sizes.content),
    chunkPlaces(samples, place),
  ]
}

function chunkLengths({ chunks }: SampleTables): Buffer {
  const changes = new WordList()
  for (const [index, { samples }] of chunks.entries())
    if (samples !== chunks[index - 1]?.samples)
      for (const number of [index + 1, samples, 1]) changes.push(number)
  return makeTable('stsc', changes.length / 3, changes)
}

function chunkPlaces({ chunks }: SampleTables, { contentAt, isLarge }: Place): Buffer {
  const places = new WordList()
  for (const { position } of chunks) {
    const at = contentAt + position
    if (isLarge) places.push(Math.floor(at / 2 ** 32))
    places.push(at % 2 ** 32)
  }
  return makeTable(isLarge ? 'co64' : 'stco', chunks.length, places)
}

function makeTable(type: string, entries: number, { content }: WordList): Buffer {
  return makeBox(type, words(0, entries), content)
}

/** A copy of a box with other numbers at some places, counted from its beginning. */
function patched(box: Buffer, numbers: Record<number, number>): Buffer {
  const copy = Buffer.from(box)
  for (const [at, number] of Object.entries(numbers)) copy.writeUInt32BE(number, Number(at))
  return copy
}
