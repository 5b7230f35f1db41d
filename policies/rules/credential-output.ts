import { stackType } from "../estate.ts";
import { scanCredentials } from "../credentialScan.ts";
import { at } from "../facts.ts";
import { stackRule } from "../rule.ts";
import { namesSchema } from "../topics.ts";

/** No credential in clear in what a stack, a component or a command gives back. */
export default stackRule({
  name: "credential-output",
  description: "Outputs of the stack, of components and of commands hold no credential.",
  reason: "Outputs are read by other stacks, printed by the command line and kept in the state's history.",
  fix: "Do not export the credential: export where to fetch it, and keep a command from printing it.",
  config: {
    defaults: { exemptPaths: [] },
    schema: { exemptPaths: namesSchema("Output paths that may hold one; a final * stands for any ending.") },
  },
  check: (_estate, config: { readonly exemptPaths: readonly string[] }, resources) =>
    resources.flatMap((resource) => {
      const component = resource.type === stackType || resource.type.startsWith("hive:");
      const outputs = component ? resource.props : resource.type.startsWith("command:") ? printed(resource.props) : {};
      return scanCredentials(outputs, config.exemptPaths).map(({ path, kind }) => ({
        urn: resource.urn,
        found: `Output ${path} of ${resource.name} holds a ${kind} (value not shown).`,
      }));
    }),
});

/** What a command printed; its inputs are judged by `credential-input`. */
function printed(props: unknown): Readonly<Record<string, unknown>> {
  return { stdout: at(props, "stdout"), stderr: at(props, "stderr") };
}
