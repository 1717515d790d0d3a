import { spawnSync } from 'node:child_process'
import { openSync, closeSync, writeFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/** The exit code by which `flock` says that somebody else holds the lock. */
export const lockHeldCode = 75

/**
 * Takes a lock for as long as this process lives, however it dies; false if another has it.
 *
 * A flock(2) lock belongs to the open file description, which `flock` shares with us here.
 * Node opens files close-on-exec, so that no child of ours inherits it.
 */
export function takeLock(lockFile: string): boolean {
  mkdirSync(dirname(lockFile), { recursive: true })
  const descriptor = openSync(lockFile, 'a')
  const result = spawnSync('flock', ['-n', '-E', String(lockHeldCode), '3'], {
    stdio: ['ignore', 'ignore', 'ignore', descriptor],
  })
  if (result.status === 0) return true
  closeSync(descriptor)
  if (result.status === lockHeldCode) return false
  throw new Error(`cannot lock ${lockFile}: is flock (util-linux) installed?`, {
    cause: result.error,
  })
}

/** Says who holds a lock; worth something only while the lock is held. A full disk is no failure. */
export function writePid(pidFile: string): void {
  try {
    writeFileSync(pidFile, `${process.pid}\n`)
  } catch (error) {
    process.stderr.write(`cannot write ${pidFile}: ${(error as Error).message}\n`)
  }
}

/** A command line under which a program holds a lock for as long as it lives. */
export function underLock(lockFile: string, command: string[]): string[] {
  return ['flock', '--no-fork', '-n', '-E', String(lockHeldCode), lockFile, ...command]
}
