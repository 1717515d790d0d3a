import { randomUUID } from 'node:crypto'
import { open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Log } from '../daemon/logger.ts'
import type { OpenFiles } from '../daemon/open-files.ts'
import { ignoreMissing, moveInto, syncFolder, type Folders } from '../segments/folders.ts'
import { claimedName, closedName, parseSegmentName } from '../segments/segment-name.ts'

/** A segment that has left `open/`. */
export interface ClosedSegment {
  /** Its name in `recordings/`. */
  file: string
  bytes: number
}

/** Moves segments from `recordings/open/` to `recordings/` once nobody writes to them any more. */
export class OpenSegments {
  readonly #folders: Folders
  readonly #log: Log

  constructor(folders: Folders, log: Log) {
    this.#folders = folders
    this.#log = log
  }

  /** Gives a segment that FFmpeg has just begun a name that FFmpeg can't overwrite. */
  async claim(file: string): Promise<string> {
    const claimed = claimedName(file, randomUUID().slice(0, 8))
    await rename(join(this.#folders.open, file), join(this.#folders.open, claimed))
    return claimed
  }

  /** Returns when the names of those that are there now are on the disk. */
  async syncNames(): Promise<void> {
    await syncFolder(this.#folders.open)
  }

  /** Returns when what has been written to a claimed segment so far is on the disk. */
  async sync(claimed: string): Promise<void> {
    const file = await open(join(this.#folders.open, claimed), 'r+').catch(ignoreMissing)
    try {
      await file?.datasync()
    } finally {
      await file?.close()
    }
  }

  /** Closes one segment; undefined if it is empty, and deleted, or somebody else has closed it. */
  async close(file: string): Promise<ClosedSegment | undefined> {
    const source = join(this.#folders.open, file)
    if ((await stat(source).catch(ignoreMissing))?.size === 0) {
      this.#log.debug({ file: closedName(file) }, 'empty segment deleted')
      await unlink(source).catch(ignoreMissing)
      return undefined
    }
    const target = await moveInto(this.#folders.recordings, source, closedName(file))
    if (!target) return undefined
    const { size } = (await stat(target).catch(ignoreMissing)) ?? { size: 0 }
    return { file: basename(target), bytes: size }
  }

  /** The segments of a camera, or of all, that are in `open/`, oldest first. */
  async list(camera?: string): Promise<string[]> {
    const files = (await readdir(this.#folders.open).catch(ignoreMissing)) ?? []
    const isWanted = (file: string): boolean => {
      const name = parseSegmentName(closedName(file))
      return name !== undefined && (camera === undefined || name.camera === camera)
    }
    return files.filter(isWanted).sort()
  }

  /**
   * What an earlier run has left behind and nobody has open. Where open files can't be seen that
   * is nothing: the uploader takes such files once they have been quiet for long.
   */
  async abandoned(openFiles: OpenFiles): Promise<string[]> {
    const files = await this.list()
    const inUse = await openFiles.at(files.map((file) => join(this.#folders.open, file)))
    if (!inUse) return []
    const busy = new Set(inUse.map(({ path }) => basename(path)))
    return files.filter((file) => !busy.has(file))
  }
}
