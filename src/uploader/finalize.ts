import { randomUUID } from 'node:crypto'
import { lstat, mkdir, readdir, rm, stat, statfs, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import {
  fileCrc32,
  hasCode,
  ignoreMissing,
  replaceFile,
  type Folders,
} from '../segments/folders.ts'
import { isDamaged, isFaststart, isHeaderOnly } from './mp4-boxes.ts'
import { probeMedia, type Media } from './media-probe.ts'
import { runTool, ToolError, type MediaTools } from './run-tool.ts'

/** What a finished file turned out to be. `asItIs` says why a playable one was left untouched. */
export type Finalized =
  | { is: 'playable'; media: Media; asItIs?: string }
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
  const temporary = join(await temporaryFolder(folders), `finalize-${randomUUID()}.mp4`)
  try {
    return await remuxInPlace({ tools, path, temporary, media }, signal)
  } catch (error) {
    const isLate = error instanceof ToolError && error.timedOut
    if (!isLate && !hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
    const asItIs = isLate ? 'FFmpeg did not end' : 'no room for a copy'
    return { is: 'playable', media, asItIs }
  } finally {
    await rm(temporary, { force: true })
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

interface Remux {
  tools: MediaTools
  path: string
  temporary: string
  media: Media
}

async function remuxInPlace(remux: Remux, signal: AbortSignal): Promise<Finalized> {
  const { tools, path, temporary, media } = remux
  const asIs = (asItIs: string): Finalized => ({ is: 'playable', media, asItIs })
  const before = await lstat(path)
  const { bavail, bsize } = await statfs(join(temporary, '..'))
  if (bavail * bsize < before.size + spareBytes) return asIs('no room for a copy')

  const end = await runTool(tools.ffmpeg, remuxArgs(remux), 30 * 60_000, signal)
  if (end.code !== 0) {
    const full = /No space left on device|Disk quota exceeded/.test(end.stderr)
    return asIs(full ? 'no room for a copy' : 'FFmpeg could not remux it')
  }
  const after = await probeMedia(tools.ffprobe, temporary, signal)
  if (!('playable' in after) || !samePackets(media, after.playable))
    return asIs('a remux of it does not hold the same packets')

  await utimes(temporary, before.atimeMs / 1000, before.mtimeMs / 1000)
  const now = await lstat(path)
  const unchanged = (['dev', 'ino', 'size', 'mtimeMs'] as const).every(
    (field) => now[field] === before[field],
  )
  // Whoever ships it notices as well, and waits until it is finished.
  if (!unchanged) return asIs('it changed while it was remuxed')
  await replaceFile(temporary, path)
  return { is: 'playable', media }
}

function remuxArgs({ path, temporary, media }: Remux): string[] {
  const appleTags = media.streams
    .filter(({ type }) => type === 'video')
    .flatMap(({ codec }, index) => (codec === 'hevc' ? [`-tag:v:${index}`, 'hvc1'] : []))
  return [
    ...['-v', 'error', '-nostdin', '-y', '-f', 'mp4', '-protocol_whitelist', 'file'],
    ...['-i', `file:${path}`, '-map', '0', '-c', 'copy', ...appleTags],
    ...['-movflags', '+faststart', '-f', 'mp4', `file:${temporary}`],
  ]
}

function samePackets(a: Media, b: Media): boolean {
  const count = ({ streams }: Media): string =>
    streams.map(({ type, codec, packets }) => `${type} ${codec} ${packets}`).join('\n')
  return count(a) === count(b)
}

/** On the same file system as the file that the temporary will replace. */
async function temporaryFolder({ tmp, recordings }: Folders): Promise<string> {
  const [a, b] = await Promise.all([stat(tmp).catch(ignoreMissing), stat(recordings)])
  if (a?.dev === b.dev) return tmp
  const folder = join(recordings, dotFolder)
  await mkdir(folder, { recursive: true })
  return folder
}
