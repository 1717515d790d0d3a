import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import {
  lstat,
  mkdir,
  open,
  readdir,
  rm,
  stat,
  statfs,
  utimes,
  type FileHandle,
} from 'node:fs/promises'
import { join } from 'node:path'
import {
  fileCrc32,
  hasCode,
  ignoreMissing,
  replaceFile,
  type Folders,
} from '../segments/folders.ts'
import type { Proof, Sums } from './fingerprint.ts'
import { mediaOf, readFragmentedMp4, type FragmentedMp4 } from './fragmented-mp4.ts'
import { isDamaged, isFaststart, isHeaderOnly } from './mp4-boxes.ts'
import { probeMedia, type Media } from './media-probe.ts'
import { writePlainMp4 } from './plain-mp4.ts'
import { readPlainMp4 } from './plain-mp4-index.ts'
import { holdsLess, remux } from './remux.ts'
import { ToolError, type MediaTools } from './run-tool.ts'

/** What became of a playable file. */
interface Rewritten {
  /** Why it was left untouched. */
  asItIs?: string
  /** Of what we have written in its place, where they are known without reading it. */
  sums?: Sums
}

/** What a finished file turned out to be. */
export type Finalized =
  | ({ is: 'playable'; media: Media } & Rewritten)
  | { is: 'header-only' }
  | { is: 'invalid'; reason: string }

/** Those of a remux, and of a move into another file system (whose source is still in its place). */
const temporaryNames = /^(finalize-[0-9a-f-]{36}\.mp4|\.moving-[0-9a-f-]{36}\.tmp)$/
/** Where temporaries go when `data/tmp` is on another file system. */
const dotFolder = '.finalizing'
/** Room that must be left when a remux is done. */
const spareBytes = 16 * 1024 * 1024

/**
 * Makes a file playable at once, in its place: its index in front, no fragments, HEVC as Apple's
 * players want it, the same packets, the same mtime. Where there is no room for that, or it
 * fails, the file stays as it is. Throws where nothing can be said yet; nothing is changed then.
 */
export async function finalize(
  { folders, tools, proof }: { folders: Folders; tools: MediaTools; proof: Proof },
  path: string,
  signal: AbortSignal,
): Promise<Finalized> {
  signal.throwIfAborted()
  const before = await lstat(path)
  const source = await open(path, 'r')
  try {
    // What our recorder writes takes no program, which would cost more than all the rest.
    const movie = await readFragmentedMp4(source)
    if (!movie) return await finalizeByTools({ folders, tools }, path, signal)
    const write = async (temporary: string): Promise<Rewritten> =>
      writeMovie({ source, movie, temporary, proof }, signal)
    return await rewrite(folders, { path, before, media: mediaOf(movie), write })
  } finally {
    await source.close()
  }
}

/** Removes what crashes have left of remuxes, and of copies to other file systems. */
export async function removeTemporaries(folders: Folders): Promise<number> {
  const { tmp, recordings, uploaded, quarantine } = folders
  let removed = 0
  for (const folder of [tmp, join(recordings, dotFolder), recordings, uploaded, quarantine]) {
    const names = (await readdir(folder).catch(ignoreMissing)) ?? []
    for (const name of names.filter((entry) => temporaryNames.test(entry))) {
      await rm(join(folder, name), { force: true })
      removed += 1
    }
  }
  return removed
}

/** Whatever FFmpeg can read. */
async function finalizeByTools(
  { folders, tools }: { folders: Folders; tools: MediaTools },
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
  return rewrite(folders, { path, before, media, write })
}

interface Rewriting {
  path: string
  before: Stats
  media: Media
  /** Makes the new file; or says why it can't be had. */
  write: (temporary: string) => Promise<Rewritten>
}

/** Puts a file that is written anew in the place of the old one. */
async function rewrite(folders: Folders, rewriting: Rewriting): Promise<Finalized> {
  const temporary = join(await temporaryFolder(folders), `finalize-${randomUUID()}.mp4`)
  const { media } = rewriting
  try {
    return { is: 'playable', media, ...(await rewriteInPlace(rewriting, temporary)) }
  } catch (error) {
    const isLate = error instanceof ToolError && error.timedOut
    if (!isLate && !hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
    return { is: 'playable', media, asItIs: isLate ? 'FFmpeg did not end' : 'no room for a copy' }
  } finally {
    await rm(temporary, { force: true })
  }
}

async function rewriteInPlace(
  { path, before, write }: Rewriting,
  temporary: string,
): Promise<Rewritten> {
  const { bavail, bsize } = await statfs(join(temporary, '..'))
  if (bavail * bsize < before.size + spareBytes) return { asItIs: 'no room for a copy' }
  const written = await write(temporary)
  if (written.asItIs !== undefined) return written

  await utimes(temporary, before.atimeMs / 1000, before.mtimeMs / 1000)
  const now = await lstat(path)
  const unchanged = (['dev', 'ino', 'size', 'mtimeMs'] as const).every(
    (field) => now[field] === before[field],
  )
  // Whoever ships it notices as well, and waits until it is finished.
  if (!unchanged) return { asItIs: 'it changed while it was remuxed' }
  await replaceFile(temporary, path)
  return written
}

interface Movie {
  source: FileHandle
  movie: FragmentedMp4
  temporary: string
  proof: Proof
}

async function writeMovie(
  { source, movie, temporary, proof }: Movie,
  signal: AbortSignal,
): Promise<Rewritten> {
  const sums = await writePlainMp4(source, movie, { path: temporary, proof }, signal)
  const written = await readPlainMp4(temporary)
  const isSame = movie.tracks.every(({ samples }, index) => {
    const track = written?.[index]
    return track?.packets === samples.sizes.length && track.bytes === samples.bytes
  })
  return isSame ? { sums } : { asItIs: holdsLess }
}

/** On the same file system as the file that the temporary will replace. */
async function temporaryFolder({ tmp, recordings }: Folders): Promise<string> {
  const [a, b] = await Promise.all([stat(tmp).catch(ignoreMissing), stat(recordings)])
  if (a?.dev === b.dev) return tmp
  const folder = join(recordings, dotFolder)
  await mkdir(folder, { recursive: true })
  return folder
}
