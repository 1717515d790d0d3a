import { appendFile, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Log } from '../daemon/logger.ts'
import { fittingName, moveInto, type Folders } from '../segments/folders.ts'

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
  const say = async (name: string): Promise<void> => {
    const beside = join(folders.quarantine, fittingName(name, '.reason.txt'))
    await appendFile(beside, `${new Date().toISOString()} ${reason}\n`)
  }
  // First, so that a crash between the two leaves no file without its reason.
  await say(file)
  const moved = await moveInto(folders.quarantine, path)
  if (!moved) return
  if (basename(moved) !== file) await say(basename(moved))
  log.error({ file, reason }, 'does not play; moved to data/quarantine/')
}
