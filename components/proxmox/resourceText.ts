import * as pulumi from "@pulumi/pulumi";
import { FaultsError, type Checked } from "../shared/faults.ts";
import { renderMarker } from "../shared/marker.ts";

/** A description that ends in our mark, known before the object exists because a URN is computed from names alone. */
export function describedAs(text: string, name: string, type: string, parent: pulumi.Resource): pulumi.Output<string> {
  // Through a promise, for an output of the parent's URN depends on all of the parent's children: this one too.
  const urn = new Promise<string>((resolve) => {
    pulumi.createUrn(name, type, parent).apply(resolve);
  });
  return pulumi.output(
    urn.then(
      (value) => `${text} ${renderMarker({ project: pulumi.getProject(), stack: pulumi.getStack(), urn: value })}`,
    ),
  );
}

/** The value of a plan, or the engine's own error with every fault and its property path. */
export function planOrThrow<T>(subject: string, checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new pulumi.InputPropertiesError({
    message: new FaultsError(`${subject} cannot be declared`, checked.faults).message,
    errors: checked.faults.map((fault) => ({
      propertyPath: fault.property,
      reason: `${fault.value === undefined ? "is missing" : `is ${fault.value}`}; allowed: ${fault.limit}. ${fault.fix}`,
    })),
  });
}
