import type { Stats } from 'node:fs'
import { lstat, open, rm, type FileHandle } from 'node:fs/promises'
import { isDamaged, isFaststart, isHeaderOnly } from '../mp4/boxes.ts'
import { readFragmentedMp4, type FragmentedMp4 } from '../mp4/fragmented-mp4.ts'
import { SourceEnded, type PlainMp4, type PlainTrack } from '../mp4/plain-mp4.ts'
import { readPlainMp4 } from '../mp4/plain-mp4-index.ts'
import type { ClosedSegment, ClosedSegments } from '../segments/closed-segments.ts'
import { fileCrc32 } from '../segments/folders.ts'
import { SourceChanged, Summing, type Proof } from './fingerprint.ts'
import { segmentDay } from './ledger.ts'
import { probeMedia, type Media } from './media-probe.ts'
import { newTimes } from './new-times.ts'
import { holdsLess, remux } from './remux.ts'
import { rewrite, type Rewritten, type TemporaryFolders } from './rewrite.ts'
import { ToolError, type MediaTools } from './run-tool.ts'
import { countsOf, LaterParts, noteFinal, segmentParts } from './segment-parts.ts'
import type { EncodedSound } from './sound-encoder.ts'

/** What a finished file turned out to be. */
export type Finalized =
  | ({ is: 'playable'; media: Media; startMs?: number } & Rewritten)
  /** Its sound is encoded first; whoever waits for it is woken then. */
  | { is: 'waiting' }
  | { is: 'header-only' }
  | { is: 'invalid'; reason: string }

export interface FinalizeDeps {
  folders: TemporaryFolders
  tools: MediaTools
  proof: Proof
  closed: Pick<ClosedSegments, 'find' | 'append'>
  sounds: Sounds
}

interface Sounds {
  /** The sound of a file as AAC; undefined if it isn't ready yet. */
  take(path: string, info: Stats): EncodedSound | undefined | Promise<EncodedSound>
}

/**
 * Makes a file playable at once, in its place: its index in front, no fragments, each frame at the time
 * when it was taken, sound that browsers play, HEVC as Apple's players want it, the same mtime. Where
 * there is no room for that, or it fails, the file stays as it is. Throws, leaving the file untouched,
 * if no verdict is possible yet.
 */
export async function finalize(
  deps: FinalizeDeps,
  path: string,
  signal: AbortSignal,
): Promise<Finalized> {
  signal.throwIfAborted()
  const before = await lstat(path)
  const known = await deps.closed.find(before, segmentDay(path, before.mtimeMs))
  const start = known && { startMs: Date.parse(known.start) }
  const source = await open(path, 'r')
  try {
    // What our recorder writes takes no program, which would cost more than all the rest.
    const movie = await readFragmentedMp4(source)
    if (!movie) {
      const finalized = await finalizeByTools(deps, path, signal)
      if (finalized.is !== 'playable') return finalized
      // Time stamps may begin hours from zero.
      const duration = known ? { durationSeconds: known.durationSeconds } : {}
      return { ...finalized, media: { ...finalized.media, ...duration }, ...start }
    }
    const sound = await soundOf(deps, { movie, path, before })
    if (sound === 'waiting') return { is: 'waiting' }
    const rewriting = { source, movie, sound, known, path, before }
    return { ...(await rewriteMovie(deps, rewriting, signal)), ...start }
  } catch (error) {
    if (error instanceof SourceEnded) throw new SourceChanged(error.message)
    if (!(error instanceof ToolError && error.outOfMemory)) throw error
    const media = unreadMedia(known?.durationSeconds)
    return { is: 'playable', media, asItIs: error.message, ...start }
  } finally {
    await source.close()
  }
}

/** The sound of a movie as AAC, where it isn't; undefined where it is, or there is none. */
async function soundOf(
  { sounds }: FinalizeDeps,
  { movie, path, before }: { movie: FragmentedMp4; path: string; before: Stats },
): Promise<EncodedSound | 'waiting' | undefined> {
  const needsEncoding = movie.tracks.some(({ header }) => header.codec === 'other')
  return needsEncoding ? ((await sounds.take(path, before)) ?? 'waiting') : undefined
}

interface MovieRewriting {
  source: FileHandle
  movie: FragmentedMp4
  sound: EncodedSound | undefined
  known: ClosedSegment | undefined
  path: string
  before: Stats
}

async function rewriteMovie(
  { folders, proof, closed, tools }: FinalizeDeps,
  { source, movie, sound, known, path, before }: MovieRewriting,
  signal: AbortSignal,
): Promise<Finalized & { is: 'playable' }> {
  const writeOne = async (plain: PlainMp4, temporary: string): Promise<Rewritten> =>
    writeMovie({ plain, temporary, proof }, signal)
  const later = new LaterParts({
    ...{ folders, closed },
    write: async (...part) => (await writeOne(...part)).asItIs,
  })
  try {
    if (sound?.is === 'failed') {
      const verdict = await probeMedia(tools.ffprobe, path, signal)
      const media = 'playable' in verdict ? verdict.playable : mediaOf(movie.tracks, 0)
      const durationSeconds = known?.durationSeconds ?? media.durationSeconds
      return { is: 'playable', media: { ...media, durationSeconds }, asItIs: sound.reason }
    }
    const segment = { path, before, known }
    const tracks = tracksOf({ source, movie, sound, known })
    const parts = await segmentParts({ ...movie, tracks }, segment)
    const { plain, durationSeconds } = parts.first
    const media = mediaOf(plain.tracks, durationSeconds)
    const write = async (temporary: string): Promise<Rewritten> => {
      const written = await writeOne(plain, temporary)
      const failure = written.asItIs ?? (await later.write(parts.later, segment, temporary))
      if (failure !== undefined) return { asItIs: failure }
      const isDivided = parts.later.length > 0
      const counts = isDivided ? countsOf(plain) : {}
      if (known) await noteFinal(closed, { ...known, ...counts, durationSeconds }, temporary)
      return { ...written, ...(isDivided && { parts: parts.later.length + 1 }) }
    }
    const place = async (temporary: string): Promise<void> => later.place(temporary)
    const rewritten = await rewrite(folders, { path, before, write, place })
    return { is: 'playable', media, ...rewritten }
  } finally {
    await later.removeTemporaries()
    await sound?.file.close()
    if (sound) await rm(sound.path, { force: true })
  }
}

/** The tracks of a movie with the times that they get. */
function tracksOf({
  source,
  movie,
  sound,
  known,
}: Pick<MovieRewriting, 'source' | 'movie' | 'sound' | 'known'>): PlainTrack[] {
  const times = known?.times && newTimes(movie.tracks, known.times)
  return movie.tracks.map((track) => {
    const isVideo = track.header.type === 'video'
    const newTime = times && (isVideo ? times.picture : times.sound)
    const end = isVideo && known?.times ? { endSeconds: known.times.end } : {}
    const content =
      !isVideo && sound?.is === 'encoded'
        ? { ...sound.track, source: sound.file }
        : { ...track, source }
    return { ...content, ...(newTime && { newTime }), ...end }
  })
}

/** What a player would find in a file of these tracks. */
function mediaOf(tracks: Pick<PlainTrack, 'header' | 'samples'>[], durationSeconds: number): Media {
  return {
    durationSeconds: Number(durationSeconds.toFixed(6)),
    streams: tracks.map(({ header, samples }) => {
      const { type, codec, entry } = header
      return { type, codec, tag: entry.toString('latin1', 4, 8), packets: samples.length }
    }),
  }
}

/** A file that takes too much memory to look at is footage until the opposite is known. */
function unreadMedia(durationSeconds = 0): Media {
  const stream = { codec: 'unknown', tag: '', packets: 0 }
  const streams = ['video', 'audio'].map((type) => ({ type, ...stream }))
  return { durationSeconds, streams }
}

/** Whatever FFmpeg can read. */
async function finalizeByTools(
  { folders, tools }: Pick<FinalizeDeps, 'folders' | 'tools'>,
  path: string,
  signal: AbortSignal,
): Promise<Finalized> {
  let verdict = await probeMedia(tools.ffprobe, path, signal)
  if ('invalid' in verdict) {
    // To ffprobe a disk that fails to read is the end of the file; here it is an error.
    await fileCrc32(path, signal)
    verdict = await probeMedia(tools.ffprobe, path, signal)
  }
  if ('invalid' in verdict) {
    const headerOnly = await isHeaderOnly(path)
    return headerOnly ? { is: 'header-only' } : { is: 'invalid', reason: verdict.invalid }
  }
  const media = verdict.playable
  if (await isFaststart(path)) return { is: 'playable', media }
  if (await isDamaged(path)) return { is: 'playable', media, asItIs: 'it is damaged in the middle' }
  const before = await lstat(path)
  const write = async (temporary: string): Promise<Rewritten> => {
    const failure = await remux({ tools, path, temporary, media }, signal)
    return failure === undefined ? {} : { asItIs: failure }
  }
  return { is: 'playable', media, ...(await rewrite(folders, { path, before, write })) }
}

interface Movie {
  plain: PlainMp4
  temporary: string
  proof: Proof
}

async function writeMovie(
  { plain, temporary, proof }: Movie,
  signal: AbortSignal,
): Promise<Rewritten> {
  const summing = new Summing(plain.bytes, proof)
  await plain.write(temporary, (piece) => summing.add(piece), signal)
  const written = await readPlainMp4(temporary)
  const isSame = plain.tracks.every(({ samples }, index) => {
    const track = written?.[index]
    return track?.packets === samples.length && track.bytes === samples.bytes
  })
  return isSame ? { sums: summing.finish() } : { asItIs: holdsLess }
}
