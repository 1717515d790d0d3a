import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Why a test of disks is skipped here; false where it can run. */
export const cannotMount = process.getuid?.() === 0 ? false : 'only root can mount a small disk'

/** A temporary folder that is a disk of so many MB, in memory, or has one as its `part`. */
export async function smallDisk(t: TestContext, megabytes: number, part = ''): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'camera-to-s3-disk-'))
  const disk = join(folder, part)
  mkdirSync(disk, { recursive: true })
  await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', disk])
  t.after(async () => {
    // Whatever still has files open there.
    await run('umount', ['-l', disk])
    await rm(folder, { recursive: true, force: true })
  })
  return folder
}

export async function remount(folder: string, mode: 'ro' | 'rw'): Promise<void> {
  await run('mount', ['-o', `remount,${mode}`, folder])
}

/** Takes all room of a disk; what is returned gives it back. */
export function fillDisk(folder: string): () => void {
  const filler = join(folder, 'filler')
  for (const bytes of [1 << 20, 4096]) fillWith(filler, bytes)
  return () => rmSync(filler, { force: true })
}

function fillWith(filler: string, bytes: number): void {
  try {
    for (;;) writeFileSync(filler, Buffer.alloc(bytes), { flag: 'a' })
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOSPC') throw error
  }
}
