import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ConfigFault } from '../daemon/environment.ts'

/** A fault unless the folder can be written to, or made; tries neither. */
export function baseFolderFaults(base: string): ConfigFault[] {
  let folder = base
  while (!existsSync(folder)) folder = dirname(folder)
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    if (statSync(folder).isDirectory()) return []
  } catch {
    // The answer is the same.
  }
  return [{ variable: 'BASE_DIR', found: base, expected: 'a folder that you can write to' }]
}

/** Throws an Error for the operator where no daemon has ever worked: of a disk that is not mounted nothing is known. */
export function requireBase(base: string): void {
  if (existsSync(join(base, 'data'))) return
  const state = existsSync(base) ? 'holds no data/' : 'is not there'
  throw new Error(`BASE_DIR ${base} ${state}: is its disk mounted?`)
}
