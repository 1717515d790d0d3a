import { rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Log } from '../daemon/logger.ts'
import { moveInto, type Folders } from '../segments/folders.ts'

/** Deletes a file that holds no footage at all. */
export async function discard(log: Log, path: string, what: string): Promise<void> {
  await rm(path, { force: true })
  log.info({ file: basename(path) }, `${what}; deleted`)
}

/** Puts a file that doesn't play where the operator will look at it, with the reason beside it. */
export async function quarantine(
  { folders, log }: { folders: Folders; log: Log },
  path: string,
  reason: string,
): Promise<void> {
  const file = basename(path)
  const moved = await moveInto(folders.quarantine, path)
  if (!moved) return
  log.error({ file, reason }, 'does not play; moved to data/quarantine/')
  await writeFile(reasonPath(moved), `${new Date().toISOString()} ${reason}\n`)
}

/** `<file>.reason.txt`, the file's name cut where a file system (255 bytes) demands it. */
function reasonPath(path: string): string {
  const ending = '.reason.txt'
  let name = basename(path)
  while (Buffer.byteLength(name + ending) > 255) name = name.replace(/.$/su, '')
  return join(dirname(path), name + ending)
}
