import { spawnSync } from 'node:child_process'
import { totalmem } from 'node:os'

const mebibyte = 1024 * 1024

/**
 * Bytes that a program of FFmpeg gets. Measured on 5.1, 7.1 and 9.0: 4K HEVC takes 131 MiB to copy, and
 * 727 MiB to encode as H.264, 1100 MiB with 64 cores.
 */
export const memoryFor = { copying: 768 * mebibyte, encoding: 4096 * mebibyte }

let hasPrlimit: boolean | undefined

/**
 * Limits a command to a number of bytes, and to half of this machine's memory:
 * by a number that a camera sends, or that stands in a file, FFmpeg would take all of it. Without
 * prlimit there is no limit; setup.sh and check.sh say that it is missing.
 */
export function withMemory(bytes: number, command: string[]): string[] {
  if (hasPrlimit === undefined) {
    const { status, error } = spawnSync('prlimit', ['--version'])
    // For want of a file handle it may fail now, and work in a moment.
    if (status !== null || error?.message.includes('ENOENT')) hasPrlimit = status === 0
  }
  if (hasPrlimit === false) return command
  return ['prlimit', `--data=${Math.min(bytes, Math.floor(totalmem() / 2))}`, '--', ...command]
}
