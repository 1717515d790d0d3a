import { writeFile, type FileHandle } from 'node:fs/promises'
import { makeBox, patched, words } from './boxes.ts'
import type { FragmentedMp4, Track } from './fragmented-mp4.ts'
import { durationLimit, type Samples } from './samples.ts'
import { RunList, WordList } from './words.ts'

/** Beyond it, places and lengths take 64 bits; what is left of 4 GB holds any index. */
const most32BitBytes = 2 ** 32 - 2 ** 28
/** What FFmpeg gives a movie's times in. */
const movieTicksPerSecond = 1000
const pieceBytes = 1024 * 1024

/** Maps a time in a file, in seconds, to the one that it gets, counted from the first frame; rises. */
export type NewTime = (seconds: number) => number

export interface PlainTrack extends Track {
  source: FileHandle
  /** Without it times stay as they are, counted from where the first track begins. */
  newTime?: NewTime
  /** When its last sample ends, in seconds from the first frame; without it by the sample's own duration. */
  endSeconds?: number
}

export interface PlainMovie extends Omit<FragmentedMp4, 'tracks'> {
  tracks: PlainTrack[]
}

/** The source of a movie ended earlier than its index says. */
export class SourceEnded extends Error {}

/** A plain MP4, its index in front, that is yet to be written. */
export class PlainMp4 {
  readonly bytes: number
  readonly #head: Buffer
  readonly #pieces: Piece[]
  /** Those that are in it. */
  readonly tracks: PlainTrack[]
  /** From the first frame to the end of what is shown last. */
  readonly durationSeconds: number

  /** The samples of fragmented files, as they lie there but in the order of their times. */
  constructor(movie: PlainMovie) {
    const timed = movie.tracks
      .map((track) => withTimes(track, startOf(movie.tracks)))
      // What ends before the first frame is never shown.
      .filter((track) => lastShown(track) > 0)
    this.tracks = timed.map(({ track }) => track)
    const pieces = piecesOf(timed)
    const contentBytes = pieces.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#head = headOf(movie, timed, pieces)
    this.#pieces = pieces
    this.bytes = this.#head.length + contentBytes
    this.durationSeconds = Math.max(
      ...timed.map((one) => lastShown(one) / one.track.header.ticksPerSecond),
    )
  }

  /** Writes a new file, and shows each piece of it, which is there until the next comes. */
  async write(path: string, onPiece: (piece: Buffer) => void, signal: AbortSignal): Promise<void> {
    const [head, pieces] = [this.#head, this.#pieces]
    async function* content(): AsyncGenerator<Buffer> {
      onPiece(head)
      yield head
      for await (const piece of contentOf(pieces, signal)) {
        onPiece(piece)
        yield piece
      }
    }
    await writeFile(path, content(), { flag: 'wx' })
  }
}

/** A track with its samples' new times, in ticks from the first frame. */
interface TimedTrack {
  track: PlainTrack
  times: Float64Array
  /** From a sample's decoding to its presentation. */
  offsets: Uint32Array
  endTicks: number
}

/** Samples that lie together, and where they go. */
interface Piece {
  source: FileHandle
  at: number
  bytes: number
  /** In the content of the new file. */
  position: number
}

/** When the first track begins to be shown, in seconds. */
export function startOf(tracks: PlainTrack[]): number {
  return Math.min(
    ...tracks.map(({ header, samples }) => firstShown(samples) / header.ticksPerSecond),
  )
}

/** When the first of some samples is shown, in ticks. */
export function firstShown({ times, offsets }: Samples): number {
  // Frames are shown in another order than they are decoded in, but not much.
  let first = Infinity
  for (let n = 0; n < Math.min(times.length, 64); n += 1)
    first = Math.min(first, (times[n] ?? 0) + (offsets[n] ?? 0))
  return first
}

function withTimes(track: PlainTrack, startSeconds: number): TimedTrack {
  const { samples, header, newTime = (seconds) => seconds - startSeconds, endSeconds } = track
  const { ticksPerSecond } = header
  const toNew = (ticks: number): number =>
    Math.round(newTime(ticks / ticksPerSecond) * ticksPerSecond)
  const times = new Float64Array(samples.length)
  const offsets = new Uint32Array(samples.length)
  let last = -Infinity
  for (const [n, time] of samples.times.entries()) {
    last = Math.max(last + 1, toNew(time))
    times[n] = last
    const offset = samples.offsets[n] ?? 0
    offsets[n] = offset === 0 ? 0 : Math.max(0, toNew(time + offset) - last)
  }
  const end =
    endSeconds === undefined
      ? toNew(samples.lastTime + samples.lastDuration)
      : Math.round(endSeconds * ticksPerSecond)
  const endTicks = Math.min(Math.max(end, last + 1), last + durationLimit - 1)
  return { track, times, offsets, endTicks }
}

/** The chunks of all tracks in the order of their times, as they lie in the new file. */
function piecesOf(tracks: TimedTrack[]): (Piece & { track: TimedTrack; samples: number })[] {
  const pieces = tracks.flatMap((timed) => {
    const { source, samples, header } = timed.track
    let first = 0
    return samples.chunks.map(({ at, bytes, samples: count }) => {
      const seconds = (timed.times[first] ?? 0) / header.ticksPerSecond
      first += count
      return { source, at, bytes, position: 0, track: timed, samples: count, seconds }
    })
  })
  // What lies in one file is read forward, and picture and sound lie together anyway.
  const isOneSource = tracks.every(({ track }) => track.source === tracks[0]?.track.source)
  pieces.sort((a, b) => (isOneSource ? a.at - b.at : a.seconds - b.seconds))
  let position = 0
  for (const piece of pieces) {
    piece.position = position
    position += piece.bytes
  }
  return pieces
}

type PlacedChunk = ReturnType<typeof piecesOf>[number]

/** Everything before the content. */
function headOf(movie: PlainMovie, tracks: TimedTrack[], chunks: PlacedChunk[]): Buffer {
  const contentBytes = chunks.reduce((sum, { bytes }) => sum + bytes, 0)
  const isLarge = contentBytes > most32BitBytes
  const isAvc = tracks.some(({ track }) => track.header.codec === 'h264')
  const brands = isAvc ? 'isomiso2avc1mp41' : 'isomiso2mp41'
  const ftyp = makeBox('ftyp', Buffer.from('isom'), words(0x200), Buffer.from(brands))
  const mdat = mdatHeader(contentBytes, isLarge)
  // Its length doesn't depend on the places in it.
  const moovBytes = makeMoov(movie, tracks, chunks, { contentAt: 0, isLarge }).length
  const contentAt = ftyp.length + moovBytes + mdat.length
  return Buffer.concat([ftyp, makeMoov(movie, tracks, chunks, { contentAt, isLarge }), mdat])
}

function mdatHeader(contentBytes: number, isLarge: boolean): Buffer {
  const name = Buffer.from('mdat')
  if (!isLarge) return Buffer.concat([words(contentBytes + 8), name])
  const bytes = contentBytes + 16
  return Buffer.concat([words(1), name, words(Math.floor(bytes / 2 ** 32), bytes % 2 ** 32)])
}

/** The content, in pieces; each is there until the next is asked for. */
async function* contentOf(pieces: Piece[], signal: AbortSignal): AsyncGenerator<Buffer> {
  const windows = new Map<FileHandle, SourceWindow>()
  const out = Buffer.allocUnsafe(pieceBytes)
  let filled = 0
  for (const { source, at, bytes } of pieces) {
    const window = windows.get(source) ?? new SourceWindow(source)
    windows.set(source, window)
    for (let done = 0; done < bytes;) {
      signal.throwIfAborted()
      const content = await window.from(at + done)
      const count = Math.min(content.length, bytes - done, out.length - filled)
      content.copy(out, filled, 0, count)
      done += count
      filled += count
      if (filled < out.length) continue
      yield out
      filled = 0
    }
  }
  if (filled > 0) yield out.subarray(0, filled)
}

/** A part of a file in memory, for reads that go forward. */
class SourceWindow {
  readonly #source: FileHandle
  readonly #buffer = Buffer.allocUnsafe(pieceBytes)
  #at = 0
  #bytes = 0

  constructor(source: FileHandle) {
    this.#source = source
  }

  /** What lies at a place, as much of it as is in memory: at least a byte. */
  async from(at: number): Promise<Buffer> {
    if (at < this.#at || at >= this.#at + this.#bytes) {
      const { bytesRead } = await this.#source.read(this.#buffer, 0, this.#buffer.length, at)
      if (bytesRead === 0) throw new SourceEnded('the file shrank while it was read')
      this.#at = at
      this.#bytes = bytesRead
    }
    return this.#buffer.subarray(at - this.#at, this.#bytes)
  }
}

interface Place {
  contentAt: number
  isLarge: boolean
}

function makeMoov(
  { mvhd, udta }: PlainMovie,
  tracks: TimedTrack[],
  chunks: PlacedChunk[],
  place: Place,
): Buffer {
  const traks = tracks.map((timed, index) =>
    makeTrak(timed, {
      ...place,
      id: index + 1,
      chunks: chunks.filter(({ track }) => track === timed),
    }),
  )
  const duration = Math.max(...traks.map((trak) => trak.duration))
  const header = patched(mvhd, { 20: movieTicksPerSecond, 24: duration, 104: tracks.length + 1 })
  return makeBox('moov', header, ...traks.map(({ box }) => box), udta)
}

function makeTrak(
  timed: TimedTrack,
  place: Place & { id: number; chunks: PlacedChunk[] },
): { box: Buffer; duration: number } {
  const { times, offsets, endTicks, track } = timed
  const { ticksPerSecond, tkhd } = track.header
  const toMovie = (ticks: number): number =>
    Math.round((ticks * movieTicksPerSecond) / ticksPerSecond)
  const [first = 0] = times
  // A presentation begins with the first sample that is shown, and not before the first frame.
  const shownFrom = Math.max(0, lowest(times, offsets))
  const shown = Math.ceil(((lastShown(timed) - shownFrom) * movieTicksPerSecond) / ticksPerSecond)
  const delay = toMovie(shownFrom)
  const duration = delay + shown
  const edits = [[shown, shownFrom - first, 0x10000]]
  if (delay > 0) edits.unshift([delay, 0xffff_ffff, 0x10000])
  const isEdited = delay > 0 || shownFrom !== first
  const edts = isEdited
    ? makeBox('edts', makeBox('elst', words(0, edits.length, ...edits.flat())))
    : Buffer.alloc(0)
  const header = patched(tkhd, { 20: place.id, 28: duration })
  const media = makeMedia(timed, place, endTicks - first)
  return { box: makeBox('trak', header, edts, media), duration }
}

function lowest(times: Float64Array, offsets: Uint32Array): number {
  let low = Infinity
  for (let n = 0; n < Math.min(times.length, 64); n += 1)
    low = Math.min(low, (times[n] ?? 0) + (offsets[n] ?? 0))
  return low
}

/** When the sample ends that is shown last. */
function lastShown({ times, offsets, endTicks }: TimedTrack): number {
  let last = endTicks
  for (let n = Math.max(0, times.length - 64); n < times.length; n += 1)
    last = Math.max(last, (times[n + 1] ?? endTicks) + (offsets[n] ?? 0))
  return last
}

function makeMedia(
  timed: TimedTrack,
  place: Place & { chunks: PlacedChunk[] },
  duration: number,
): Buffer {
  const { type, ticksPerSecond, entry } = timed.track.header
  const isVideo = type === 'video'
  const undetermined = 0x55c4_0000
  const isLong = duration >= 2 ** 32
  const times = isLong
    ? words(
        0x0100_0000,
        0,
        0,
        0,
        0,
        ticksPerSecond,
        Math.floor(duration / 2 ** 32),
        duration % 2 ** 32,
      )
    : words(0, 0, 0, ticksPerSecond, duration)
  const mdhd = makeBox('mdhd', times, words(undetermined))
  const handler = Buffer.from(isVideo ? 'vide' : 'soun')
  const name = Buffer.from(isVideo ? 'VideoHandler\0' : 'SoundHandler\0')
  const hdlr = makeBox('hdlr', words(0, 0), handler, words(0, 0, 0), name)
  const header = isVideo ? makeBox('vmhd', words(1, 0, 0)) : makeBox('smhd', words(0, 0))
  const dref = makeBox('dref', words(0, 1), makeBox('url ', words(1)))
  const stsd = makeBox('stsd', words(0, 1), entry)
  const stbl = makeBox('stbl', stsd, ...sampleBoxes(timed, place))
  return makeBox('mdia', mdhd, hdlr, makeBox('minf', header, makeBox('dinf', dref), stbl))
}

function sampleBoxes(
  { track, times, offsets, endTicks }: TimedTrack,
  place: Place & { chunks: PlacedChunk[] },
): Buffer[] {
  const { header, samples } = track
  const [durations, shifts, syncs] = [new RunList(), new RunList(), new WordList()]
  for (const [n, time] of times.entries()) {
    durations.push((times[n + 1] ?? endTicks) - time)
    shifts.push(offsets[n] ?? 0)
    if (samples.syncs[n] === 1) syncs.push(n + 1)
  }
  const [durationRuns, shiftRuns] = [durations.close(), shifts.close()]
  const hasShifts = offsets.some((offset) => offset > 0)
  const isAllSync = header.type === 'audio' || syncs.length === samples.length
  return [
    makeTable('stts', durationRuns.length / 2, durationRuns),
    ...(hasShifts ? [makeTable('ctts', shiftRuns.length / 2, shiftRuns)] : []),
    ...(isAllSync ? [] : [makeTable('stss', syncs.length, syncs)]),
    chunkLengths(place.chunks),
    makeBox('stsz', words(0, 0, samples.length), sizesOf(samples)),
    chunkPlaces(place),
  ]
}

function sizesOf({ sizes }: Samples): Buffer {
  const content = Buffer.alloc(sizes.length * 4)
  for (const [n, size] of sizes.entries()) content.writeUInt32BE(size, n * 4)
  return content
}

function chunkLengths(chunks: PlacedChunk[]): Buffer {
  const changes = new WordList()
  for (const [index, { samples }] of chunks.entries())
    if (samples !== chunks[index - 1]?.samples)
      for (const number of [index + 1, samples, 1]) changes.push(number)
  return makeTable('stsc', changes.length / 3, changes)
}

function chunkPlaces({ contentAt, isLarge, chunks }: Place & { chunks: PlacedChunk[] }): Buffer {
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
