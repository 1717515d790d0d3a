import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { lstat, mkdir, readdir, rm, stat, statfs, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode, ignoreMissing, replaceFile, type Folders } from '../segments/folders.ts'
import type { Sums } from './fingerprint.ts'
import { ToolError } from './run-tool.ts'

/** What became of a playable file. */
export interface Rewritten {
  /** Why it was left untouched. */
  asItIs?: string
  /** Sums of what we have written in its place, where they are known without reading it. */
  sums?: Sums
  /** How many files it was divided into, where its picture changes. */
  parts?: number
}

/** Those of a remux, and of a move into another file system (whose source is still in its place). */
const temporaryNames = /^(finalize-[0-9a-f-]{36}\.mp4|\.moving-[0-9a-f-]{36}\.tmp)$/
/** Where temporaries go when `data/tmp` is on another file system. */
const dotFolder = '.finalizing'
/** Room that must be left when a remux is done. */
const spareBytes = 16 * 1024 * 1024

/** Where temporaries go. */
export type TemporaryFolders = Pick<Folders, 'tmp' | 'recordings'>

interface Rewriting {
  path: string
  before: Stats
  /** Makes the new file; or says why it can't be had. */
  write: (temporary: string) => Promise<Rewritten>
  /** Does what has to come before the new file takes the place of the old one. */
  place?: (temporary: string) => Promise<void>
}

/** Puts a file that is written anew in the place of the old one; where that can't be, says why. */
export async function rewrite(folders: TemporaryFolders, rewriting: Rewriting): Promise<Rewritten> {
  const temporary = join(await temporaryFolder(folders), `finalize-${randomUUID()}.mp4`)
  try {
    return await rewriteInPlace(rewriting, temporary)
  } catch (error) {
    if (hasCode(error, 'ENOSPC', 'EDQUOT')) return { asItIs: 'no room for a copy' }
    if (!(error instanceof ToolError && error.isAboutTheFile)) throw error
    return { asItIs: error.message }
  } finally {
    await rm(temporary, { force: true })
  }
}

async function rewriteInPlace(
  { path, before, write, place }: Rewriting,
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
  await place?.(temporary)
  await replaceFile(temporary, path)
  return written
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

/** On the same file system as the file that the temporary will replace. */
async function temporaryFolder({ tmp, recordings }: TemporaryFolders): Promise<string> {
  const [a, b] = await Promise.all([stat(tmp).catch(ignoreMissing), stat(recordings)])
  if (a?.dev === b.dev) return tmp
  const folder = join(recordings, dotFolder)
  await mkdir(folder, { recursive: true })
  return folder
}
