import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { OpenFiles } from '../daemon/open-files.ts'
import { ignoreMissing, moveInto, type Folders } from '../segments/folders.ts'
import { parseSegmentName } from '../segments/segment-name.ts'

/** A segment that has left `open/`. */
export interface ClosedSegment {
  /** Its name in `recordings/`. */
  file: string
  bytes: number
}

/** Moves segments from `recordings/open/` to `recordings/` once nobody writes to them any more. */
export class OpenSegments {
  readonly #folders: Folders

  constructor(folders: Folders) {
    this.#folders = folders
  }

  /** Closes one segment; undefined if somebody else has already done so. */
  async close(file: string): Promise<ClosedSegment | undefined> {
    const target = await moveInto(this.#folders.recordings, join(this.#folders.open, file))
    if (!target) return undefined
    const { size } = (await stat(target).catch(ignoreMissing)) ?? { size: 0 }
    return { file: basename(target), bytes: size }
  }

  /** The segments of a camera that are in `open/`, oldest first. */
  async of(camera: string): Promise<string[]> {
    const files = (await readdir(this.#folders.open).catch(ignoreMissing)) ?? []
    return files.filter((file) => parseSegmentName(file)?.camera === camera).sort()
  }

  /**
   * Closes what an earlier run has left behind and nobody has open. Where open files can't be
   * seen it leaves them to the uploader, which waits until they have been quiet for long.
   */
  async closeAbandoned(openFiles: OpenFiles): Promise<ClosedSegment[]> {
    const files = (await readdir(this.#folders.open).catch(ignoreMissing)) ?? []
    const segments = files.filter((file) => parseSegmentName(file)).sort()
    const inUse = await openFiles.at(segments.map((file) => join(this.#folders.open, file)))
    if (!inUse) return []
    const busy = new Set(inUse.map(({ path }) => basename(path)))
    const closed: ClosedSegment[] = []
    for (const file of segments.filter((segment) => !busy.has(segment))) {
      const segment = await this.close(file)
      if (segment) closed.push(segment)
    }
    return closed
  }
}
