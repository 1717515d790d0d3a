import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeClip, type Clip, type ClipOptions } from '../../demo/clip.ts'

/** A clip for an emulated camera; encoded once for all test runs on a machine. */
export async function cachedClip(overrides: Partial<ClipOptions> = {}): Promise<Clip> {
  return makeClip(overrides, join(tmpdir(), 'camera-to-s3-clips'))
}
