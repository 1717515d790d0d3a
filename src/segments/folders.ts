import { randomUUID } from 'node:crypto'
import { constants, createReadStream, type Stats } from 'node:fs'
import {
  access,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  unlink,
  utimes,
} from 'node:fs/promises'
import { basename, dirname, join, parse } from 'node:path'
import { crc32 } from 'node:zlib'

/** Where everything of an installation lies. */
export interface Folders {
  base: string
  /** What is not yet proven to be in S3. */
  recordings: string
  /** What is still being written. */
  open: string
  /** What is proven to be in S3. */
  uploaded: string
  logs: string
  status: string
  ledger: string
  gaps: string
  /** What the recorder knows of each segment that it has closed. */
  closed: string
  quarantine: string
  tmp: string
  /** What each camera sends, as it last said. */
  streams: string
}

export function foldersBelow(base: string): Folders {
  const data = join(base, 'data')
  return {
    base,
    recordings: join(base, 'recordings'),
    open: join(base, 'recordings', 'open'),
    uploaded: join(base, 'uploaded'),
    logs: join(data, 'logs'),
    status: join(data, 'status'),
    ledger: join(data, 'ledger'),
    gaps: join(data, 'gaps'),
    closed: join(data, 'closed'),
    quarantine: join(data, 'quarantine'),
    tmp: join(data, 'tmp'),
    streams: join(data, 'streams'),
  }
}

export async function makeFolders(folders: Folders): Promise<void> {
  for (const folder of Object.values<string>({ ...folders })) await makeFolder(folder)
}

/** Makes a folder, and those around it, unless it is there; durably. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made))
    await syncFolder(dirname(made))
}

/**
 * Moves a file into a folder, durably, under the first of `name`, `name_2`, … that is free.
 *
 * Nothing is ever overwritten: the new name is made by link(2), which fails where there is one.
 * Two processes may move the same file at once, and a crash may leave it under both names: a
 * name that is this very file already counts as moved. Returns the new path, or undefined if
 * the file is gone.
 */
export async function moveInto(
  folder: string,
  source: string,
  name = basename(source),
): Promise<string | undefined> {
  await syncFile(source).catch(ignoreUnreadable)
  const { name: stem, ext } = parse(name)
  const begun = await otherName(source, folder, stem)
  for (let n = 1; ; n += 1) {
    const suffixed = fittingName(stem, n === 1 ? ext : `_${n}${ext}`)
    const target = begun ?? join(folder, suffixed)
    const outcome = await linkTo(source, target)
    if (outcome === 'taken') continue
    if (outcome === 'gone') return undefined
    // In this order: a power cut may leave both names, never none.
    await syncFolder(folder)
    await unlink(source).catch(ignoreMissing)
    if (dirname(source) !== folder) await syncFolder(dirname(source)).catch(ignoreMissing)
    return target
  }
}

/** The name with this beginning that a file has in a folder besides its own: a move half done. */
export async function otherName(
  path: string,
  folder: string,
  beginning: string,
): Promise<string | undefined> {
  const info = await lstat(path).catch(ignoreMissing)
  if (!info || info.nlink < 2) return undefined
  for (const name of await readdir(folder)) {
    const other = join(folder, name)
    if (!name.startsWith(beginning) || other === path) continue
    const found = await lstat(other).catch(ignoreMissing)
    if (found && isSameFile(found, info)) return other
  }
  return undefined
}

/** A name, its stem cut where it would be longer than a file system's 255 bytes. */
export function fittingName(stem: string, ending: string): string {
  let cut = stem
  while (Buffer.byteLength(cut + ending) > 255) cut = cut.replace(/.$/su, '')
  return cut + ending
}

/** Puts `source` in the place of `target` so that after a power cut either one is there, whole. */
export async function replaceFile(source: string, target: string): Promise<void> {
  await syncFile(source)
  await rename(source, target)
  await syncFolder(dirname(target))
}

/** Returns when the content of a file is on the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Returns when the names in a folder are on the disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** What deleting a file frees: nothing, where it has another name. */
export function bytesOnDisk({ blocks, nlink }: { blocks: number; nlink: number }): number {
  return nlink > 1 ? 0 : blocks * 512
}

/** For `catch`: that something isn't there is no failure; everything else is. */
export function ignoreMissing(error: unknown): undefined {
  if (!hasCode(error, 'ENOENT')) throw error
}

/** What may not be read is none of ours, and may be moved all the same. */
function ignoreUnreadable(error: unknown): void {
  if (!hasCode(error, 'ENOENT', 'EACCES', 'EPERM')) throw error
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes(String((error as { code?: unknown } | undefined)?.code))
}

async function linkTo(source: string, target: string): Promise<'moved' | 'taken' | 'gone'> {
  try {
    await link(source, target)
    return 'moved'
  } catch (error) {
    if (hasCode(error, 'ENOENT')) {
      await access(dirname(target), constants.F_OK)
      return 'gone'
    }
    if (hasCode(error, 'EEXIST')) return (await isMovedAlready(source, target)) ? 'moved' : 'taken'
    if (hasCode(error, 'EXDEV')) return copyTo(source, target)
    // exFAT and some network file systems have no links: look, then rename.
    if (!hasCode(error, 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK')) throw error
  }
  if (await lstat(target).catch(ignoreMissing)) return 'taken'
  await rename(source, target)
  return 'moved'
}

/** Into another file system: a synced copy under a temporary name, then a link to that. */
async function copyTo(source: string, target: string): Promise<'moved' | 'taken' | 'gone'> {
  const temporary = join(dirname(target), `.moving-${randomUUID()}.tmp`)
  try {
    await copyFile(source, temporary)
    const { atime, mtime } = await lstat(source)
    await utimes(temporary, atime, mtime)
    await syncFile(temporary)
    const outcome = await linkTo(temporary, target)
    return outcome === 'gone' ? 'taken' : outcome
  } finally {
    await rm(temporary, { force: true })
  }
}

/** A crash between the two steps of a move leaves the same file, or an equal copy, under both names. */
async function isMovedAlready(source: string, target: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [source, target].map(async (path) => lstat(path).catch(ignoreMissing)),
  )
  if (!a || !b || a.size !== b.size) return false
  if (isSameFile(a, b)) return true
  return a.isFile() && b.isFile() && (await fileCrc32(source)) === (await fileCrc32(target))
}

function isSameFile(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

/** The CRC32 of a whole file, as S3 counts it. */
export async function fileCrc32(path: string, signal?: AbortSignal): Promise<number> {
  let sum = 0
  const options = { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) }
  for await (const chunk of createReadStream(path, options)) sum = crc32(chunk as Buffer, sum)
  return sum
}
