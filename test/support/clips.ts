import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeClip, type Clip, type ClipOptions } from '../../demo/clip.ts'

/** A clip for an emulated camera; encoded once for all test runs on a machine. */
export async function cachedClip(overrides: Partial<ClipOptions> = {}): Promise<Clip> {
  return makeClip(overrides, join(tmpdir(), 'camera-to-s3-clips'))
}

/** A clip that goes on with the picture of another, which brings its own parameter sets. */
export function goingOn(clip: Clip, { video }: Clip): Clip {
  const { parameterSets } = video
  const others = video.frames.map((frame) => ({ ...frame, parameterSets }))
  return { ...clip, video: { ...clip.video, frames: [...clip.video.frames, ...others] } }
}
