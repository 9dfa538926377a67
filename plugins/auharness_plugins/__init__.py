"""The plugins that ship with auharness: one file per dataset, model or protocol; the file name is the plugin name."""
