import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { atEnd } from './at-end.ts'

/** A folder that is gone when the test has ended, however it ended. */
export async function temporaryFolder(t: TestContext, below = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(below, 'camera-to-s3-'))
  atEnd(t, async () => rm(folder, { recursive: true, force: true }))
  return folder
}
