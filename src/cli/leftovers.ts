import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ignoreMissing, type Folders } from '../segments/folders.ts'

export interface Leftover {
  kind: 'old log' | 'temporary file' | 'empty recording'
  path: string
  bytes: number
}

const dayMs = 24 * 3600 * 1000

/** What a clean restart deletes: nothing that could ever be played or proves anything. */
export async function findLeftovers(
  folders: Folders,
  retentionDays: number,
  nowMs: number,
): Promise<Leftover[]> {
  const oldestMs = nowMs - retentionDays * dayMs
  const { logs, status, streams, tmp, recordings, open, uploaded } = folders
  return [
    ...(await pick('old log', logs, (file) => isLog(file) && file.mtimeMs < oldestMs)),
    ...(await pick('temporary file', tmp, ({ name }) => name !== '.gitkeep')),
    ...(await pick('temporary file', status, ({ name }) => name.endsWith('.new'))),
    ...(await pick('temporary file', streams, ({ name }) => name.endsWith('.new'))),
    ...(await pick('temporary file', recordings, isCopy)),
    ...(await pick('temporary file', uploaded, isCopy)),
    ...(await pick('empty recording', recordings, isEmptyRecording)),
    ...(await pick('empty recording', open, isEmptyRecording)),
  ]
}

interface File {
  name: string
  bytes: number
  mtimeMs: number
}

async function pick(
  kind: Leftover['kind'],
  folder: string,
  isLeftover: (file: File) => boolean,
): Promise<Leftover[]> {
  const found: Leftover[] = []
  for (const name of (await readdir(folder).catch(ignoreMissing)) ?? []) {
    const path = join(folder, name)
    const info = await lstat(path).catch(ignoreMissing)
    if (!info?.isFile() || !isLeftover({ name, bytes: info.size, mtimeMs: info.mtimeMs })) continue
    found.push({ kind, path, bytes: info.size })
  }
  return found
}

function isLog({ name }: File): boolean {
  return name.endsWith('.log')
}

/** The copy that segments/folders.ts makes on the way into another file system. */
function isCopy({ name }: File): boolean {
  return name.startsWith('.') && name.endsWith('.tmp')
}

function isEmptyRecording({ name, bytes }: File): boolean {
  return name.endsWith('.mp4') && bytes === 0
}
