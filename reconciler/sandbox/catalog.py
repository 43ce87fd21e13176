"""What can be asked for: the providers with their scopes, and the permissions a key can hold."""

from typing import Any

SCOPE_VERSION = 3
APP_PERMISSIONS = ("agents:read", "agents:write", "agents:admin", "providers:read")
DASHBOARD_PERMISSIONS = (
    "dashboard_agents:read",
    "dashboard_agents:write",
    "dashboard_agents:admin",
    "dashboard_audit:read",
)

PERMISSION_CATALOG: dict[str, Any] = {
    "scope_version": SCOPE_VERSION,
    "resources": {
        "agents": {"verbs": ["read", "write", "admin"]},
        "providers": {"verbs": ["read"]},
        "grants": {"verbs": ["read", "write"]},
        "keys": {"verbs": ["read", "derive"]},
    },
    "action_verbs": ["token:retrieve", "proxy:request"],
    "deprecated": [],
}

# provider: (display name, category, scopes). A scope is (name, description, flags), where flags may
# hold `required` and `default`, and `>other` for a scope it cannot work without.
_PROVIDERS: dict[str, tuple[str, str, tuple[tuple[str, str, str], ...]]] = {
    "google": (
        "Google Workspace",
        "productivity",
        (
            ("openid", "Sign the user in", "required default"),
            ("gmail.readonly", "Read mail", "default"),
            ("gmail.send", "Send mail", ""),
            ("gmail.modify", "Read and change mail", ""),
            ("calendar", "Read and change calendars", ""),
            ("calendar.readonly", "Read calendars", "default"),
            ("drive", "Read and change all files", ""),
            ("drive.readonly", "Read all files", ""),
            ("drive.file", "Change files this app made", ""),
            ("spreadsheets", "Read and change spreadsheets", ">drive.file"),
        ),
    ),
    "slack": (
        "Slack",
        "communication",
        (
            ("chat:write", "Post messages", "default"),
            ("chat:write.public", "Post in channels it has not joined", ">chat:write"),
            ("channels:read", "List public channels", "default"),
            ("channels:history", "Read public channels", ">channels:read"),
            ("users:read", "List people", ""),
            ("files:write", "Upload files", ""),
            ("admin.users:write", "Manage people", ""),
        ),
    ),
    "github": (
        "GitHub",
        "development",
        (
            ("read:user", "Read the profile", "required default"),
            ("repo", "Full access to repositories", ""),
            ("public_repo", "Access to public repositories", ""),
            ("read:org", "Read organisations", "default"),
            ("admin:org", "Manage organisations", ">read:org"),
            ("workflow", "Change workflow files", ">repo"),
        ),
    ),
    "notion": (
        "Notion",
        "productivity",
        (
            ("content:read", "Read pages", "default"),
            ("content:update", "Change pages", ">content:read"),
            ("content:insert", "Add pages", ">content:read"),
        ),
    ),
    "jira": (
        "Jira",
        "development",
        (
            ("read:jira-user", "Read people", "required default"),
            ("read:jira-work", "Read issues", "default"),
            ("write:jira-work", "Change issues", ">read:jira-work"),
            ("manage:jira-project", "Manage projects", ">write:jira-work"),
            ("offline_access", "Stay signed in", "default"),
        ),
    ),
    "salesforce": (
        "Salesforce",
        "crm",
        (
            ("api", "Use the REST API", "default"),
            ("refresh_token", "Stay signed in", "required default"),
            ("full", "Everything the user can do", ""),
        ),
    ),
    "hubspot": (
        "HubSpot",
        "crm",
        (
            ("oauth", "Basic access", "required default"),
            ("crm.objects.contacts.read", "Read contacts", "default"),
            ("crm.objects.contacts.write", "Change contacts", ">crm.objects.contacts.read"),
            ("crm.objects.deals.read", "Read deals", ""),
        ),
    ),
    "linear": (
        "Linear",
        "development",
        (
            ("read", "Read issues", "required default"),
            ("write", "Change issues", ">read"),
            ("issues:create", "Create issues", ">read"),
            ("admin", "Manage the workspace", ">write"),
        ),
    ),
    "stripe": (
        "Stripe",
        "payments",
        (
            ("read_only", "Read payments", "default"),
            ("read_write", "Read and change payments", ""),
        ),
    ),
    "microsoft": (
        "Microsoft 365",
        "productivity",
        (
            ("offline_access", "Stay signed in", "required default"),
            ("User.Read", "Read the profile", "default"),
            ("Mail.Read", "Read mail", ""),
            ("Mail.Send", "Send mail", ""),
            ("Calendars.ReadWrite", "Read and change calendars", ""),
            ("Files.Read.All", "Read all files", ""),
            ("Files.ReadWrite.All", "Read and change all files", ">Files.Read.All"),
        ),
    ),
}


def provider_catalog() -> dict[str, Any]:
    """The body of `GET /sdk/oauth/provider-catalog`."""
    return {"providers": {provider: _entry(provider) for provider in _PROVIDERS}}


def _entry(provider: str) -> dict[str, Any]:
    display_name, category, scopes = _PROVIDERS[provider]
    flags = {name: text.split() for name, _, text in scopes}
    return {
        "id": provider,
        "name": provider,
        "display_name": display_name,
        "category": category,
        "description": f"{display_name} over OAuth 2.0",
        "logo_url": None,
        "supports_refresh": True,
        "supports_pkce": provider not in ("slack", "notion"),
        "available_scopes": {
            name: {
                "description": description,
                "required": "required" in flags[name],
                "is_default": "default" in flags[name],
                "requires": [flag[1:] for flag in flags[name] if flag.startswith(">")],
            }
            for name, description, _ in scopes
        },
        "default_scopes": [name for name in flags if "default" in flags[name]],
        "required_scopes": [name for name in flags if "required" in flags[name]],
        "status": "active",
    }
