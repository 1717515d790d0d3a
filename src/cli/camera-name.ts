import type { Environment } from '../daemon/environment.ts'
import { safeCameraName } from '../segments/segment-name.ts'

/** What files call a camera that is asked for as CAMERA_N_NAME has it, or as files do. */
export function cameraFileName(asked: string, { variables }: Environment): string {
  const [variable = ''] =
    Object.entries(variables).find(
      ([name, value]) => /^CAMERA_\d+_NAME$/.test(name) && value === asked,
    ) ?? []
  const number = /\d+/.exec(variable)?.[0]
  return safeCameraName(asked, number === undefined ? asked : `Camera_${number}`)
}

/** That there is no such camera, and which there are. */
export function nobodyKnown(asked: string | undefined, known: string[]): string {
  if (known.length === 0) return 'nothing was ever recorded here'
  return `no camera called ${asked} was ever recorded here; these were: ${known.join(', ')}`
}
