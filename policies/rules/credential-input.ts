import { scanCredentials } from "../credentialScan.ts";
import { resourceRule } from "../rule.ts";
import { namesSchema } from "../topics.ts";

/** No credential in clear in what a resource is given. */
export default resourceRule({
  name: "credential-input",
  description: "User data, arguments and environments hold no credential.",
  reason:
    "User data and scripts end in files and process lists that others read. A policy sees secrets unwrapped, so only places made for them are exempt.",
  fix: "Pass the credential as a Pulumi secret through a property made for it (connection, stdin, a provider's token), and have the guest fetch the rest itself.",
  config: {
    defaults: {
      exemptTypes: ["pulumi:providers:*"],
      exemptPaths: [
        "connection.privateKey",
        "connection.privateKeyPassword",
        "connection.password",
        "connection.proxy.privateKey",
        "connection.proxy.privateKeyPassword",
        "connection.proxy.password",
        "stdin",
        "initialization.userAccount.password",
      ],
    },
    schema: {
      exemptTypes: namesSchema("Resource types that are not scanned; a final * stands for any ending."),
      exemptPaths: namesSchema("Property paths made for secrets; a final * stands for any ending."),
    },
  },
  check: (resource, config) => {
    const exempt = config.exemptTypes.some((type) =>
      type.endsWith("*") ? resource.type.startsWith(type.slice(0, -1)) : resource.type === type,
    );
    if (exempt) return [];
    return scanCredentials(resource.props, config.exemptPaths).map(
      ({ path, kind }) => `${resource.name} holds a ${kind} in ${path} (value not shown).`,
    );
  },
});
